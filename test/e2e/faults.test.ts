// The whole program with a model that breaks in the middle of an answer: what its clients are told, and how it ends.

import { expect, test } from "vitest";
import { type RunningServer, startBroken } from "./start-server.ts";

const question = { model: "ernie-vl-nano", messages: [{ role: "user" as const, content: "What is your name?" }], temperature: 0 };
const answer = "I am ERNIE-VL nano, a tiny test model that looks at pictures and text.";

async function ask(server: RunningServer): Promise<Response> {
  return fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(question),
  });
}

test("a step that fails ends its own answer, not the server", async () => {
  const server = await startBroken("fails-once");

  const first = await ask(server);
  const second = await server.client.chat.completions.create(question);

  expect(first.status).toBe(500);
  expect(first.headers.get("x-should-retry")).toBe("false");
  expect(await first.text()).not.toContain("injected");
  expect(second.choices[0]?.message.content).toBe(answer);
  expect(await server.stop()).toBe(0);
  expect(JSON.stringify(server.logLines())).toContain("injected");
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
  ["a device that is lost", "device-lost", /the GPU has failed/],
  ["a thread of the engine that ends", "thread-ends", /the engine thread has ended/],
])("%s ends what runs with an error, and the server, which says why", async (_, fault, reason) => {
  const server = await startBroken(fault);
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

test("a step that hangs makes the server not ready, but alive; then it ends with an error for its clients", async () => {
  const server = await startBroken("hangs", ["--step-timeout", "1"]);

  const hanging = ask(server);
  const statusOf = async (path: string) => (await fetch(`${server.url}${path}`)).status;

  await expect.poll(() => statusOf("/health/ready"), { timeout: 5000 }).toBe(503);
  expect(await statusOf("/health/live")).toBe(200);
  expect((await ask(server)).status).toBe(503);
  expect((await hanging).status).toBe(500);
  expect(await server.ended).toEqual({ code: null, signal: "SIGKILL" });
  const messages = server.logLines().map(({ msg, reason }) => reason ?? msg);
  expect(messages).toContain("no step has ended for too long: not ready");
  expect(messages).toContainEqual(expect.stringMatching(/^no step has ended for \d+ s$/));
});
