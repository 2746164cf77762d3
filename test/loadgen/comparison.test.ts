import { describe, expect, test } from "vitest";
import { compareBlocks, cutIntoBlocks, joinBlocks } from "../../src/loadgen/comparison.ts";
import type { LoadResult } from "../../src/loadgen/run-load.ts";
import { SeededRandom } from "../../src/loadgen/seeded-random.ts";
import { failed, makeRecord } from "./make-record.ts";

/** Ten blocks of a server that takes `factor` times as long as usual, with noise of `noise` on each block. */
function blocks(factor: number, noise: number, seed: number): LoadResult[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: 10 }, () => {
    const slow = factor * (1 + noise * (random.unit() - 0.5));
    const record = makeRecord({ ttftMs: 100 * slow, e2elMs: 160 * slow, gapsMs: [20 * slow, 20 * slow, 20 * slow] });
    return { records: [record, record], durationMs: 320 * slow };
  });
}

describe("a comparison", () => {
  test("finds the ratio, and an interval around it", () => {
    const ratios = compareBlocks(blocks(1, 0.1, 1), blocks(2, 0.1, 2), 0);

    expect(ratios).toHaveLength(10);
    for (const { unit, ratio, low, high } of ratios) {
      expect(Math.abs(ratio - (unit === "ms" ? 2 : 0.5)) / ratio).toBeLessThan(0.05);
      expect(low).toBeLessThanOrEqual(ratio);
      expect(high).toBeGreaterThanOrEqual(ratio);
      expect(high - low).toBeLessThan(0.2 * ratio);
    }
  });

  test("covers requests, tokens and each latency, of what was answered", () => {
    const slow = makeRecord({ ttftMs: 600, gapsMs: [200, 200, 200], e2elMs: 1200 });
    const silent = makeRecord({ ttftMs: undefined, gapsMs: [], outputTokens: 1 });
    const records = [makeRecord(), makeRecord(), slow, silent, makeRecord(failed("timeout"))];

    const ratios = compareBlocks([{ records, durationMs: 2000 }], [{ records, durationMs: 4000 }], 0);

    expect(ratios.map(({ name, a, b }) => [name, a, b])).toEqual([
      ["requests", 2, 1],
      ["output tokens", 6.5, 3.25],
      ["total tokens", 26.5, 13.25],
      ["TTFT mean", expect.closeTo(800 / 3), expect.closeTo(800 / 3)],
      ["TTFT median", 100, 100],
      ["TPOT mean", 80, 80],
      ["TPOT median", 20, 20],
      ["ITL mean", 80, 80],
      ["E2EL mean", 420, 420],
      ["E2EL median", 160, 160],
    ]);
  });

  test("of servers alike has 1 in its intervals", () => {
    for (const { low, high } of compareBlocks(blocks(1, 0.3, 1), blocks(1, 0.3, 2), 0)) {
      expect(low).toBeLessThan(1);
      expect(high).toBeGreaterThan(1);
    }
  });

  test("knows that noise which hits both sides of a pair is no difference", () => {
    const noisy = blocks(1, 0.9, 1);

    for (const { low, high } of compareBlocks(noisy, noisy, 0)) {
      expect(low).toBeCloseTo(1, 9);
      expect(high).toBeCloseTo(1, 9);
    }
  });

  test("is fixed by the seed, and leaves out what one side lacks", () => {
    const [a, b] = [blocks(1, 0.2, 1), blocks(1.1, 0.2, 2)];
    const silent = [{ records: [makeRecord(failed("timeout"))], durationMs: 100 }];

    expect(compareBlocks(a, b, 5)).toEqual(compareBlocks(a, b, 5));
    expect(compareBlocks(a.slice(0, 1), silent, 5)).toEqual([]);
  });
});

test("blocks share the requests out evenly", () => {
  expect(cutIntoBlocks(100, 10)).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  expect(cutIntoBlocks(7, 3)).toEqual([0, 2, 5, 7]);
  expect(cutIntoBlocks(2, 10)).toEqual([0, 1, 2]);
});

test("joined blocks lie one behind the other", () => {
  const block = { records: [makeRecord({ startMs: 5 })], durationMs: 200 };

  const { records, durationMs } = joinBlocks([block, block]);

  expect(durationMs).toBe(400);
  expect(records.map(({ startMs }) => startMs)).toEqual([5, 205]);
});
