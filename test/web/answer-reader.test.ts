// Chunks become an answer with times.

import { describe, expect, test } from "vitest";
import { AnswerReader, type BegunAnswer, type Chunk } from "../../web/chat/answer-reader.ts";
import { ProblemError } from "../../web/chat/problem.ts";

const delta = (fields: object, finishReason: string | null = null): Chunk => ({
  choices: [{ delta: fields, finish_reason: finishReason }],
});

/** Each chunk comes at its time, in milliseconds after the request. */
function read(timed: readonly (readonly [ms: number, chunk: Chunk])[], begun?: BegunAnswer) {
  let now = 1000;
  const reader = new AnswerReader(() => now, begun);
  for (const [ms, chunk] of timed) {
    now = 1000 + ms;
    reader.read(chunk);
  }
  return reader.parts;
}

test("thinking and text are kept apart, with the time of each", () => {
  const { text, thinking, metrics } = read([
    [40, delta({ role: "assistant", content: "" })],
    [50, delta({ reasoning_content: "I see " })],
    [80, delta({ reasoning_content: "stars." })],
    [100, delta({ content: "Two " })],
    [150, delta({ content: "stars." })],
    [151, delta({}, "stop")],
    [
      152,
      {
        choices: [],
        usage: {
          prompt_tokens: 46,
          completion_tokens: 7,
          prompt_tokens_details: { cached_tokens: 45 },
          completion_tokens_details: { reasoning_tokens: 5 },
        },
      },
    ],
  ]);

  expect([thinking, text]).toEqual(["I see stars.", "Two stars."]);
  expect(metrics).toEqual({
    firstTokenMs: 50,
    thinkingMs: 50,
    tokensPerSecond: 60, // six tokens after the first, in 100 ms
    promptTokens: 46,
    cachedTokens: 45,
    outputTokens: 7,
    thinkingTokens: 5,
    finishReason: "stop",
  });
});

test("the rest of an answer joins what was begun, and so do its counts", () => {
  const metrics = { firstTokenMs: 20, thinkingMs: 30, thinkingTokens: 4, outputTokens: 10, promptTokens: 46, finishReason: "length" };
  const rest = [
    [40, delta({ content: " stars." })],
    [41, delta({}, "stop")],
    [42, { choices: [], usage: { prompt_tokens: 56, completion_tokens: 3, completion_tokens_details: { reasoning_tokens: 0 } } }],
  ] as const;

  const answer = read(rest, { text: "Two", thinking: "I see.", metrics });

  expect([answer.thinking, answer.text]).toEqual(["I see.", "Two stars."]);
  const sums = { thinkingMs: 30, thinkingTokens: 4, outputTokens: 13 };
  expect(answer.metrics).toMatchObject({ ...sums, firstTokenMs: 40, promptTokens: 56, finishReason: "stop" });
});

test("thinking that was cut has taken as long as it was heard of", () => {
  expect(
    read([
      [10, delta({ reasoning_content: "a" })],
      [35, delta({ reasoning_content: "b" })],
    ]).metrics.thinkingMs,
  ).toBe(25);
});

test("thinking that came in one piece has taken nobody knows how long", () => {
  expect(
    read([
      [10, delta({ reasoning_content: "a" })],
      [11, delta({ content: "b" })],
    ]).metrics.thinkingMs,
  ).toBeUndefined();
});

test("a single token has no rate", () => {
  expect(
    read([
      [10, delta({ content: "a" })],
      [11, { usage: { completion_tokens: 1 } }],
    ]).metrics.tokensPerSecond,
  ).toBeUndefined();
});

test("what came at once has no rate", () => {
  const { metrics } = read([
    [10, delta({ content: "a" })],
    [11, delta({ content: "all the rest" })],
    [12, { usage: { completion_tokens: 40 } }],
  ]);

  expect(metrics.tokensPerSecond).toBeUndefined();
});

test("many chunks in one piece have no rate", () => {
  const chunks = Array.from({ length: 12 }, (_, i): [number, Chunk] => [50 + i / 100, delta({ content: "a" })]);

  expect(read([...chunks, [51, { usage: { completion_tokens: 12 } }]]).metrics.tokensPerSecond).toBeUndefined();
});

describe("calls", () => {
  test("are put together by their index", () => {
    const call = (index: number, fields: object) => delta({ tool_calls: [{ index, ...fields }] });
    const { calls } = read([
      [1, call(0, { id: "a", function: { name: "one", arguments: "" } })],
      [2, call(0, { function: { arguments: '{"x":' } })],
      [3, call(0, { function: { arguments: "1}" } })],
      [4, call(1, { id: "b", function: { name: "two", arguments: "{}" } })],
    ]);

    expect(calls).toEqual([
      { id: "a", name: "one", arguments: '{"x":1}' },
      { id: "b", name: "two", arguments: "{}" },
    ]);
  });
});

test("an error inside of the stream is a problem in the server's words", () => {
  const reader = new AnswerReader(() => 0);

  expect(() => reader.read({ error: { message: "the engine stopped" } })).toThrow(ProblemError);
  expect(() => reader.read({ error: { message: "the engine stopped" } })).toThrow(/the engine stopped/);
});
