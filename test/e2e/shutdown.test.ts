// How the whole program ends when it is told to.

import type OpenAI from "openai";
import { expect, test } from "vitest";
import { startServer } from "./start-server.ts";

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
