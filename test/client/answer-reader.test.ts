import { describe, expect, test } from "vitest";
import { AnswerReader } from "../../src/client/answer-reader.ts";

const chat = (delta: object, finish: string | null = null) => ({ choices: [{ index: 0, delta, finish_reason: finish }] });
const usage = (prompt: number, completion: number, cached?: number) => ({
  choices: [],
  usage: {
    prompt_tokens: prompt,
    completion_tokens: completion,
    ...(cached !== undefined && { prompt_tokens_details: { cached_tokens: cached } }),
  },
});

/** A chunk and the time it came at; the request was sent at 1000, the connection ended at 2000. */
type Timeline = readonly (readonly [timeMs: number, chunk: object | string])[];

function read(timeline: Timeline) {
  const reader = new AnswerReader();
  for (const [timeMs, chunk] of timeline) reader.take(typeof chunk === "string" ? chunk : JSON.stringify(chunk), timeMs);
  reader.end();
  return { ...reader.figures(1000, 2000), failure: reader.failure };
}

const role = chat({ role: "assistant", content: "" });

describe("times and tokens of an answer", () => {
  const cases: readonly [name: string, timeline: Timeline, expected: object][] = [
    [
      "the chunk with the role alone is no first token",
      [
        [1010, role],
        [1100, chat({ content: "a" })],
        [1130, chat({ content: "b" }, "stop")],
      ],
      { ttftMs: 100, gapsMs: [30], e2elMs: 130, outputTokens: 2, tokensFrom: "chunks", finishReason: "stop" },
    ],
    [
      "an empty list of calls is no token",
      [
        [1010, chat({ role: "assistant", content: "", tool_calls: [] })],
        [1100, chat({ content: "a", tool_calls: [] }, "stop")],
      ],
      { ttftMs: 100, gapsMs: [], outputTokens: 1 },
    ],
    [
      "the usage decides how many tokens there were",
      [
        [1050, chat({ content: "two tokens" })],
        [1090, chat({ content: "!" })],
        [1095, chat({}, "length")],
        [1400, usage(7, 3, 5)],
        [1401, "[DONE]"],
      ],
      { ttftMs: 50, gapsMs: [40], e2elMs: 95, outputTokens: 3, promptTokens: 7, cachedTokens: 5, tokensFrom: "usage" },
    ],
    [
      "thinking and calls are text",
      [
        [1020, chat({ reasoning_content: "hm" })],
        [1030, chat({ reasoning: "hm" })],
        [1050, chat({ tool_calls: [{ index: 0, function: { name: "f", arguments: "" } }] })],
        [1050, chat({ content: null }, "tool_calls")],
      ],
      { ttftMs: 20, gapsMs: [10, 20], e2elMs: 50, outputTokens: 3 },
    ],
    [
      "text completions are read too",
      [
        [1020, { choices: [{ text: "a", finish_reason: null }] }],
        [1025, { choices: [{ text: "b", finish_reason: "length" }] }],
      ],
      { ttftMs: 20, gapsMs: [5], e2elMs: 25 },
    ],
    [
      "chunks that arrive together have a gap of nothing",
      [
        [1020, chat({ content: "a" })],
        [1020, chat({ content: "b" }, "stop")],
      ],
      { gapsMs: [0] },
    ],
    [
      "an answer without text has no first token",
      [
        [1010, role],
        [1040, chat({}, "stop")],
        [1041, usage(7, 1)],
      ],
      { ttftMs: undefined, gapsMs: [], e2elMs: 40, outputTokens: 1 },
    ],
    [
      "counts that are none are not taken",
      [
        [1020, chat({ content: "a" }, "stop")],
        [
          1040,
          { choices: [], usage: { prompt_tokens: "\u001b[2J", completion_tokens: -5, prompt_tokens_details: { cached_tokens: 1e308 } } },
        ],
      ],
      { promptTokens: 0, cachedTokens: 0, outputTokens: 1, tokensFrom: "chunks" },
    ],
    [
      "[DONE] alone ends an answer whose last text came before",
      [
        [1020, chat({ content: "a" })],
        [1040, "[DONE]"],
      ],
      { e2elMs: 20, outputTokens: 1, finishReason: undefined },
    ],
    [
      "choices that are none are no text",
      [
        [1010, { choices: 5 }],
        [1020, { choices: [null, 7, { delta: 7 }, { delta: null }], usage: "many" }],
        [1040, chat({ content: "a" }, "stop")],
      ],
      { ttftMs: 40, outputTokens: 1 },
    ],
  ];

  test.each(cases)("%s", (_name, timeline, expected) => {
    expect(read(timeline)).toMatchObject({ ...expected, failure: undefined });
  });
});

describe("streams that go wrong", () => {
  const cases: readonly [name: string, timeline: Timeline, kind: string, message: string][] = [
    ["no end", [[1010, chat({ content: "a" })]], "broken stream", "after 1 chunks"],
    [
      "an error as OpenAI writes it",
      [[1010, { error: { code: "engine_error", message: "boom" } }]],
      "error in stream engine_error",
      "boom",
    ],
    ["an error without a code", [[1010, { error: "boom" }]], "error in stream", "boom"],
    ["no JSON", [[1010, "<html>"]], "malformed stream", "<html>"],
    ["JSON that is no object", [[1010, "7"]], "malformed stream", "7"],
  ];

  test.each(cases)("%s", (_name, timeline, kind, message) => {
    const { failure, e2elMs } = read(timeline);

    expect(failure?.kind).toBe(kind);
    expect(failure?.message).toContain(message);
    expect(e2elMs).toBe(1000);
  });
});
