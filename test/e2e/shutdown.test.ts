// How the whole program ends when it is told to.

import type OpenAI from "openai";
import { expect, test } from "vitest";
import { startBroken, startServer } from "./start-server.ts";

test("a stop signal ends an idle server at once, without an error", async () => {
  const server = await startServer();

  expect(await server.stop()).toBe(0);
});

test("a stop signal lets a running answer finish", async () => {
  const server = await startServer();
  const stream = await server.client.chat.completions.create({
    model: "ernie-vl-nano",
    messages: [{ role: "user", content: "What is your name?" }],
    temperature: 0,
    stream: true,
  });
  let exitCode: Promise<number | null> | undefined;
  let answer = "";

  for await (const chunk of stream) {
    exitCode ??= server.stop();
    answer += chunk.choices[0]?.delta.content ?? "";
  }

  expect(answer).toBe("I am ERNIE-VL nano, a tiny test model that looks at pictures and text.");
  expect(await exitCode).toBe(0);
});

test("a stop signal lets an answer that must have a form finish, and ends the thread of its grammar", async () => {
  const server = await startServer();
  const stream = await server.client.chat.completions.create({
    model: "ernie-vl-nano",
    messages: [{ role: "user", content: "Count." }],
    stream: true,
    guided_regex: "(one, ){60}two",
  } as OpenAI.ChatCompletionCreateParamsStreaming);
  let exitCode: Promise<number | null> | undefined;
  let answer = "";

  for await (const chunk of stream) {
    exitCode ??= server.stop();
    answer += chunk.choices[0]?.delta.content ?? "";
  }

  expect(answer).toBe(`${"one, ".repeat(60)}two`);
  expect(await exitCode).toBe(0);
});

const endless = {
  model: "ernie-vl-nano",
  messages: [{ role: "user" as const, content: "Tell me a story." }],
  ignore_eos: true,
  max_tokens: 4000, // slowed down, they take more than a minute
};

/** Answers that run and wait for a long time, as clients see them end. */
async function startEndless(args: readonly string[]) {
  const server = await startBroken("slow", ["--max-num-seqs", "1", ...args]);
  const [running, waiting] = [1, 2].map(() =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(endless),
    }),
  );
  await expect.poll(() => server.health(), { timeout: 10_000 }).toMatchObject({ running: 1, waiting: 1 });
  return { server, running: running!, waiting: waiting! };
}

test("answers that run or wait when the time for shutting down is over end with an error that says so", async () => {
  const { server, running, waiting } = await startEndless(["--shutdown-timeout", "1"]);

  const exitCode = server.stop();

  for (const answer of [await running, await waiting]) {
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after-ms")).toBe("5000");
    expect(await answer.json()).toMatchObject({ error: { code: "shutting_down" } });
  }
  expect(await exitCode).toBe(0);
});

test("a second stop signal ends the server at once, whatever runs", async () => {
  const { server, running, waiting } = await startEndless([]);
  const ends = Promise.allSettled([running, waiting]);

  server.kill("SIGTERM");
  await expect
    .poll(() =>
      fetch(server.url).then(
        () => "open",
        () => "closed",
      ),
    )
    .toBe("closed");
  server.kill("SIGTERM");

  expect(await server.ended).toEqual({ code: 1, signal: null });
  expect((await ends).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});

test("a stop signal lets requests that wait for a slot have their turn", async () => {
  const server = await startServer(["--max-num-seqs", "1"]);
  const answers = Array.from({ length: 4 }, () =>
    server.client.chat.completions.create({ ...endless, max_tokens: 1000 } as OpenAI.ChatCompletionCreateParamsNonStreaming),
  );
  await expect.poll(async () => (await server.health()).waiting).toBe(3);

  const exitCode = server.stop();

  for (const answer of await Promise.all(answers)) expect(answer.usage?.completion_tokens).toBe(1000);
  expect(await exitCode).toBe(0);
});

test("a request that takes too long ends with an error that clients do not repeat", async () => {
  const { server, running, waiting } = await startEndless(["--request-timeout", "2"]);

  for (const answer of [await running, await waiting]) {
    expect(answer.status).toBe(504);
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(await answer.json()).toMatchObject({ error: { code: "request_timeout" } });
  }
  await expect.poll(() => server.health()).toMatchObject({ running: 0, waiting: 0 });
  expect(await server.stop()).toBe(0);
});
