// A conversation about a picture: what the server computes for its second turn.

import type { ChatCompletionMessageParam } from "openai/resources";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSamples } from "./samples.ts";
import { type RunningServer, startServer } from "./start-server.ts";

let server: RunningServer;
beforeAll(async () => {
  server = await startServer(["--api-key", "first-key", "second-key"], "first-key");
});
afterAll(async () => {
  await server?.stop();
});

const [picture] = readSamples().flatMap(({ messages }) => (JSON.stringify(messages).includes("image_url") ? [messages] : []));

/** `<think>`, two line breaks, `</think>`, two line breaks. */
const thinkingBlockLength = 5;

async function ask(messages: ChatCompletionMessageParam[], apiKey = "first-key") {
  const before = await stepTokens();
  const client = server.client.withOptions({ apiKey });
  const request = { model: "ernie-vl-nano", messages, temperature: 0, return_token_ids: true };
  const completion = await client.chat.completions.create(request);
  const { choices, usage, prompt_token_ids: promptIds } = completion as typeof completion & { prompt_token_ids: number[] };
  const after = await stepTokens();
  const computed = Object.fromEntries(Object.entries(after).map(([kind, count]) => [kind, count - (before[kind] ?? 0)]));
  return { promptIds, text: choices[0]!.message.content!, usage: usage!, cached: usage!.prompt_tokens_details!.cached_tokens!, computed };
}

/** Tokens computed since the start, by kind of step. */
async function stepTokens(): Promise<Record<string, number>> {
  const text = await (await fetch(`${server.url}/metrics`, { headers: { authorization: "Bearer first-key" } })).text();
  const lines = text.matchAll(/^\w*step_tokens_total\{.*kind="(\w+)".*\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, kind, count]) => [kind!, Number(count)]));
}

test("computes its new tokens only, and no picture", async () => {
  const first = await ask(picture!);
  const second = await ask([...picture!, { role: "assistant", content: first.text }, { role: "user", content: "What is your name?" }]);

  expect(first.computed).toMatchObject({ prefill: first.usage.prompt_tokens - first.cached });
  expect(first.computed["picture"]).toBeGreaterThan(0);
  // The template ends the first prompt with an empty block of thinking, which it leaves out of the history: what follows is new.
  const sharedLength = second.promptIds.findIndex((id, i) => id !== first.promptIds[i]);
  expect(first.promptIds.length - sharedLength).toBe(thinkingBlockLength);
  expect(second.cached).toBe(sharedLength);
  expect(second.computed["prefill"]).toBe(second.usage.prompt_tokens - second.cached);
  expect(second.computed["picture"] ?? 0).toBe(0);
});

test("finds nothing of another key's, pictures included", async () => {
  await ask(picture!);

  expect((await ask(picture!)).cached).toBeGreaterThan(0);
  const stranger = await ask(picture!, "second-key");
  expect(stranger.cached).toBe(0);
  expect(stranger.computed["picture"]).toBe(stranger.usage.prompt_tokens_details!["image_tokens" as never]);
});
