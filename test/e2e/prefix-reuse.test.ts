// A conversation about a picture: what the server computes for its second turn.

import type { ChatCompletionMessageParam } from "openai/resources";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSamples } from "./samples.ts";
import { type RunningServer, startServer } from "./start-server.ts";

let server: RunningServer;
beforeAll(async () => {
  server = await startServer(["--max-num-seqs", "1", "--api-key", "first-key", "owner", "stranger", "second-key"], "first-key");
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

test("finds each of several conversations again, though it computes one at a time", async () => {
  const openings = ["red", "green", "blue"].map((colour) => [{ role: "user" as const, content: `${colour}, `.repeat(40) }]);
  const answers = [];
  for (const opening of openings) answers.push((await ask(opening)).text);
  for (const [i, opening] of openings.entries()) {
    const second = await ask([...opening, { role: "assistant", content: answers[i]! }, { role: "user", content: "And now?" }]);
    expect(second.cached).toBeGreaterThan(40);
  }
});

test("finds nothing of another key's, pictures included", async () => {
  await ask(picture!, "owner");

  expect((await ask(picture!, "owner")).cached).toBeGreaterThan(0);
  const stranger = await ask(picture!, "stranger");
  expect(stranger.cached).toBe(0);
  expect(stranger.computed["picture"]).toBe(stranger.usage.prompt_tokens_details!["image_tokens" as never]);
});

test("takes a picture in a tool's result alike in all three APIs: counted, and known in the next turn", async () => {
  const url = /data:image[^"]*/.exec(JSON.stringify(picture))![0];
  const parameters = { type: "object", properties: { bbox_2d: { type: "array", items: { type: "number" } } } };
  const box = { bbox_2d: [0, 0, 500, 500] };
  const [name, id, text, words] = ["image_zoom_in_tool", "call_1", "What is it?", "Zoomed in."];
  const post = async (path: string, body: object) => {
    const headers = { "content-type": "application/json", authorization: "Bearer second-key" };
    const request = { model: "ernie-vl-nano", temperature: 0, max_tokens: 4, ...body };
    const response = await fetch(`${server.url}/v1/${path}`, { method: "POST", headers, body: JSON.stringify(request) });
    return ((await response.json()) as { usage: never }).usage;
  };

  const pictureAnd = (said: string) => [
    { type: "image_url", image_url: { url } },
    { type: "text", text: said },
  ];
  const tools = [{ type: "function", function: { name, parameters } }];
  const call = { id, type: "function", function: { name, arguments: box } };
  const turns = [
    { role: "user", content: pictureAnd(text) },
    { role: "assistant", content: null, tool_calls: [call] },
    { role: "tool", tool_call_id: id, content: pictureAnd(words) },
  ];
  type Usage = { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number; image_tokens: number } };
  const asked: Usage = await post("chat/completions", { tools, messages: turns.slice(0, 1) });
  const before = await stepTokens();
  const zoomed: Usage = await post("chat/completions", { tools, messages: turns });
  const source = { type: "base64", media_type: "image/png", data: url.slice(url.indexOf(",") + 1) };
  const block = { type: "image", source };
  const messages: { input_tokens: number; cache_read_input_tokens: number } = await post("messages", {
    tools: [{ name, input_schema: parameters }],
    messages: [
      { role: "user", content: [block, { type: "text", text }] },
      { role: "assistant", content: [{ type: "tool_use", id, name, input: box }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: [block, { type: "text", text: words }] }] },
    ],
  });
  const part = { type: "input_image", image_url: url };
  const responses: { input_tokens: number; input_tokens_details: { cached_tokens: number } } = await post("responses", {
    max_tokens: undefined,
    max_output_tokens: 16,
    tools: [{ type: "function", name, parameters, strict: false }],
    input: [
      { role: "user", content: [part, { type: "input_text", text }] },
      { type: "function_call", call_id: id, name, arguments: JSON.stringify(box) },
      { type: "function_call_output", call_id: id, output: [part, { type: "input_text", text: words }] },
    ],
  });

  expect(zoomed.prompt_tokens_details.image_tokens).toBe(2 * asked.prompt_tokens_details.image_tokens);
  expect(zoomed.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(asked.prompt_tokens - thinkingBlockLength);
  // All of the prompt is known but its last token, which is always computed: the three prompts are one, its pictures included.
  const known = zoomed.prompt_tokens - 1;
  expect(messages).toMatchObject({ input_tokens: 1, cache_read_input_tokens: known });
  expect(responses).toMatchObject({ input_tokens: known + 1, input_tokens_details: { cached_tokens: known } });
  expect((await stepTokens())["picture"]).toBe(before["picture"]); // the same picture once more
});
