// The whole program with a part that breaks in the middle of an answer: what its clients are told, and how it ends or goes on.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataUri } from "./samples.ts";
import { type BrokenServer, startBroken } from "./start-broken.ts";
import type { RunningServer } from "./start-server.ts";

const question = { model: "ernie-vl-nano", messages: [{ role: "user" as const, content: "What is your name?" }], temperature: 0 };
const answer = "I am ERNIE-VL nano, a tiny test model that looks at pictures and text.";

async function ask(server: RunningServer, fields: object = {}): Promise<Response> {
  return fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...question, ...fields }),
  });
}

const failuresOf = (server: RunningServer) => server.logLines().filter(({ level, msg }) => level === 50 && msg === "request failed");

const picture = {
  messages: [
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url: dataUri("01_describe.png") } },
        { type: "text", text: "Describe the image." },
      ],
    },
  ],
};

describe("what fails ends the request that it belongs to, whose client learns nothing of the cause, and no other:", () => {
  let server: BrokenServer;
  beforeAll(async () => {
    server = await startBroken("");
  });
  afterAll(async () => {
    expect(await server.stop()).toBe(0);
  });

  test.each<[string, string, object]>([
    ["a step of the answer", "fails-once", {}],
    ["a step that computes a prompt", "fails-once@prefill", {}],
    ["a step of a picture", "fails-once@encode", picture],
    ["memory for a picture", "no-memory@encode", picture],
    ["logits that are not finite, behind a prompt", "not-finite@prefill", {}],
    ["logits that are not finite, in the answer", "not-finite@decode", {}],
    ["logits that are not finite, in one of three answers", "not-finite@decode", { n: 3 }],
    ["logits that are not finite, where the answer must have a form", "not-finite@decode", { guided_choice: ["yes", "no"] }],
    ["the thread of a picture", "picture-thread-ends", picture],
    ["the thread of a grammar", "grammar-thread-ends", { guided_choice: ["yes", "no"] }],
  ])("%s", async (_, fault, fields) => {
    const failuresBefore = failuresOf(server).length;
    server.breakBy(fault);

    const failed = await ask(server, fields);
    const healthy = await server.client.chat.completions.create(question);

    expect(failed.status).toBe(500);
    expect(failed.headers.get("x-should-retry")).toBe("false");
    const { error } = (await failed.json()) as { error: object };
    expect(error).toMatchObject({ type: "server_error", code: "internal_error" });
    expect(JSON.stringify(error)).not.toContain("injected");
    expect(healthy.choices[0]?.message.content).toBe(answer);
    await expect.poll(() => server.health()).toEqual({ status: "ok", running: 0, waiting: 0 });
    await expect.poll(() => failuresOf(server).length).toBe(failuresBefore + 1);
    expect(JSON.stringify(failuresOf(server).at(-1))).toMatch(/injected|no 1 bytes|not finite|image loader failed|grammar's thread/);
  });
});

test("steps that all fail end the server, which says why", async () => {
  const server = await startBroken("fails-always");

  for (let i = 0; i < 3; i++) expect((await ask(server)).status).toBe(500);

  expect(await server.ended).toEqual({ code: 1, signal: null });
  expect(server.logLines()).toContainEqual(
    expect.objectContaining({ level: 60, reason: expect.stringMatching(/down to that of a single token: out of memory/) }),
  );
});

test.each([
  ["a device that is lost", "device-lost", "", /the GPU has failed/],
  ["a thread of the engine that ends", "thread-ends", "", /the engine thread has ended/],
  ["a thread of the engine without memory for JavaScript", "heap-full", "--max-old-space-size=128", /heap out of memory/],
])("%s ends what runs with an error, and the server, which says why", async (_, fault, nodeOptions, reason) => {
  const server = await startBroken(fault, [], { nodeOptions });

  const stream = await server.client.chat.completions.create({ ...question, stream: true });
  const consume = async () => {
    for await (const _chunk of stream);
  };

  const [streamed, whole] = await Promise.allSettled([consume(), ask(server)]);

  expect(streamed).toMatchObject({ status: "rejected", reason: { message: expect.stringMatching(/server failed/) } });
  expect(whole.status === "rejected" || whole.value.status >= 500, "late, it may find the server gone already").toBe(true);
  expect(await server.ended).toEqual({ code: 1, signal: null });
  expect(server.logLines()).toContainEqual(expect.objectContaining({ level: 60, reason: expect.stringMatching(reason) }));
});

test("a crash in native code ends the server at once, so that its supervisor starts it again", async () => {
  const server = await startBroken("crashes");

  await expect(ask(server)).rejects.toThrow();

  expect(await server.ended).toEqual({ code: null, signal: "SIGSEGV" });
});

test("an error that nobody catches lets answers finish, and ends the server with the reason in its log", async () => {
  const server = await startBroken("main-thread-throws");

  const running = await ask(server);

  expect(await running.json()).toMatchObject({ choices: [{ message: { content: answer } }] });
  expect(await server.ended).toEqual({ code: 1, signal: null });
  expect(server.logLines()).toContainEqual(
    expect.objectContaining({ level: 50, err: expect.objectContaining({ message: "nobody catches this (injected)" }) }),
  );
});

test("memory that is missing at the start ends the program with one line", async () => {
  await expect(startBroken("no-memory-at-start")).rejects.toThrow(
    /^ernie-vl: not enough memory; lower --max-num-seqs or --max-model-len: the system has no 1 bytes of memory left\n$/m,
  );
});

test("a step that hangs makes the server not ready, but alive; then it ends with an error for its clients", async () => {
  const server = await startBroken("hangs", ["--step-timeout", "4"]); // it ends after five times as long

  const hanging = ask(server);
  const statusOf = async (path: string) => (await fetch(`${server.url}${path}`)).status;

  await expect.poll(() => statusOf("/health/ready")).toBe(503);
  expect(await statusOf("/health/live")).toBe(200);
  expect((await ask(server)).status).toBe(503);
  expect((await hanging).status).toBe(500);
  expect(await server.ended).toEqual({ code: 1, signal: null });
  const messages = server.logLines().map(({ msg, reason }) => reason ?? msg);
  expect(messages).toContain("no step has finished for too long: not ready");
  expect(messages).toContainEqual(expect.stringMatching(/^no step has finished for \d+ s$/));
});

test("a stop signal ends a server whose step hangs when the time for it is over, and clients are told", async () => {
  const server = await startBroken("hangs", ["--shutdown-timeout", "1"]);
  const hanging = ask(server);
  await expect.poll(() => server.health()).toMatchObject({ running: 1 });

  expect(await server.stop()).toBe(1);

  expect((await hanging).status).toBe(503);
  expect(server.logLines()).toContainEqual(expect.objectContaining({ level: 60, msg: "the engine does not stop: exiting without it" }));
});

test("a second stop signal ends a server whose step hangs at once", async () => {
  const server = await startBroken("hangs");
  const hanging = ask(server);
  await expect.poll(() => server.health()).toMatchObject({ running: 1 });

  server.kill("SIGTERM");
  await expect.poll(() => server.printed()).toContain("SIGTERM: finishing running answers");
  server.kill("SIGTERM");

  await expect(hanging).rejects.toThrow();
  expect(await server.ended).toEqual({ code: 1, signal: null });
});
