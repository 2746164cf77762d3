import { describe, expect, test } from "vitest";
import { describe as describeValues, percentile } from "../../src/loadgen/percentiles.ts";
import { timePerOutputToken } from "../../src/loadgen/request-record.ts";
import { summarize } from "../../src/loadgen/summary.ts";
import { failed, makeRecord } from "./make-record.ts";

describe("percentiles", () => {
  // numpy.percentile(values, percent)
  test.each([
    [[7], 99, 7],
    [[1, 2, 3, 4], 50, 2.5],
    [[1, 2, 3, 4], 90, 3.7],
    [[10, 20, 30], 25, 15],
    [[1, 2], 0, 1],
    [[1, 2], 100, 2],
  ])("of %j, the %dth is %d", (values, percent, expected) => {
    expect(percentile(values, percent)).toBeCloseTo(expected, 12);
  });

  test("do not depend on the order of the values, and there are none of nothing", () => {
    expect(describeValues([3, 1, 2])).toEqual({ count: 3, mean: 2, p50: 2, p90: 2.8, p95: 2.9, p99: 2.98, max: 3 });
    expect(describeValues([])).toBeUndefined();
  });
});

describe("the time per output token", () => {
  test.each([
    ["leaves the first token out", {}, 20],
    ["spans all tokens, however few chunks they came in", { gapsMs: [60] }, 20],
    ["needs a second token", { outputTokens: 1 }, undefined],
    ["needs a first text", { ttftMs: undefined }, undefined],
  ])("%s", (_name, fields, expected) => {
    expect(timePerOutputToken(makeRecord(fields))).toBe(expected);
  });
});

describe("the summary of a load", () => {
  test("divides by the whole duration, and counts what was answered only", () => {
    const records = [makeRecord(), makeRecord({ promptTokens: 30, cachedTokens: 8 }), makeRecord(failed("timeout"))];

    const summary = summarize({ records, durationMs: 2000 });

    expect(summary).toMatchObject({
      completed: 2,
      failed: 1,
      promptTokens: 40,
      cachedTokens: 8,
      outputTokens: 8,
      requestThroughput: 1,
      outputThroughput: 4,
      totalThroughput: 24,
      goodput: undefined,
      late: undefined,
      tokensPerChunk: 1,
    });
    expect(summary.ttft).toMatchObject({ count: 2, mean: 100 });
    expect(summary.itl).toMatchObject({ count: 6, mean: 20 });
    expect(summary.e2el).toMatchObject({ count: 2, mean: 160 });
  });

  test.each([
    [{}, 1.5],
    [{ ttft: 100 }, 1],
    [{ ttft: 99 }, 0.5],
    [{ tpot: 20 }, 1.5],
    [{ tpot: 19 }, 0.5],
    [{ e2el: 160 }, 1],
    [{ ttft: 300, tpot: 20, e2el: 60 }, 0.5],
  ])("knows what is good by %j", (serviceLevel, perSecond) => {
    const records = [
      makeRecord(),
      makeRecord({ ttftMs: 200, e2elMs: 260 }),
      makeRecord({ ttftMs: 50, e2elMs: 50, outputTokens: 1 }),
      makeRecord(failed("timeout")),
    ];

    expect(summarize({ records, durationMs: 2000 }, serviceLevel).goodput).toBe(perSecond);
  });

  test("groups failures, the most frequent first, with one message each", () => {
    const records = [failed("timeout"), failed("HTTP 429", "first"), failed("HTTP 429", "second")].map(makeRecord);

    expect(summarize({ records, durationMs: 1 }).failures).toEqual([
      { kind: "HTTP 429", count: 2, example: "first" },
      { kind: "timeout", count: 1, example: "no" },
    ]);
  });

  test.each([
    ["one after the other", [160, 0, 320], 1],
    ["overlapping", [0, 100, 159], 3],
    ["two and one", [0, 10, 200], 2],
  ])("finds the peak of requests %s", (_name, starts, peak) => {
    expect(summarize({ records: starts.map((startMs) => makeRecord({ startMs })), durationMs: 1 }).peakConcurrency).toBe(peak);
  });

  test("tells of chunks with several tokens, of missing usage and of late requests", () => {
    const silent = makeRecord({ ttftMs: undefined, gapsMs: [], outputTokens: 1 });
    const records = [makeRecord({ gapsMs: [60] }), makeRecord(), makeRecord({ tokensFrom: "chunks", lateMs: 5 }), silent];

    const summary = summarize({ records, durationMs: 1000 });

    expect(summary.tokensPerChunk).toBeCloseTo(13 / 10);
    expect(summary.ttft).toMatchObject({ count: 3, mean: 100 });
    expect(summary.tpot).toMatchObject({ count: 3, mean: 20 });
    expect(summary.withoutUsage).toBe(1);
    expect(summary.late).toMatchObject({ max: 5 });
  });

  test("of nothing has no latencies and no rates", () => {
    expect(summarize({ records: [], durationMs: 0 })).toMatchObject({
      completed: 0,
      outputThroughput: 0,
      e2el: undefined,
      tokensPerChunk: 0,
    });
  });
});
