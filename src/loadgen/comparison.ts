// Compares two servers that were measured alternately under the same load: the ratios of their figures, with confidence intervals.

import { mean, median, percentile } from "./percentiles.ts";
import { isComplete, timePerOutputToken } from "./request-record.ts";
import type { LoadResult } from "./run-load.ts";
import { SeededRandom } from "./seeded-random.ts";

export type Ratio = {
  readonly name: string;
  readonly unit: "1/s" | "ms";
  readonly a: number;
  readonly b: number;
  /** b ÷ a */
  readonly ratio: number;
  /** The 95 % bootstrap confidence interval of the ratio. */
  readonly low: number;
  readonly high: number;
};

const resamples = 1000;

/** A figure of a server, computed from any selection of its blocks; NaN if they have no values for it. */
type Figure = { readonly name: string; readonly unit: Ratio["unit"]; readonly of: (blocks: readonly BlockFigures[]) => number };

type BlockFigures = {
  readonly durationMs: number;
  readonly requests: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  readonly ttft: readonly number[];
  readonly tpot: readonly number[];
  readonly gapCount: number;
  readonly gapSumMs: number;
  readonly e2el: readonly number[];
};

const throughput = (name: string, amount: (block: BlockFigures) => number): Figure => ({
  name,
  unit: "1/s",
  of: (blocks) => (1000 * sum(blocks, amount)) / sum(blocks, (block) => block.durationMs),
});

const latency = (name: string, values: (block: BlockFigures) => readonly number[], reduce: (values: Float64Array) => number): Figure => ({
  name,
  unit: "ms",
  of: (blocks) => reduce(Float64Array.from(blocks.flatMap(values))),
});

const figures: readonly Figure[] = [
  throughput("requests", (block) => block.requests),
  throughput("output tokens", (block) => block.outputTokens),
  throughput("total tokens", (block) => block.totalTokens),
  latency("TTFT mean", (block) => block.ttft, mean),
  latency("TTFT median", (block) => block.ttft, median),
  latency("TPOT mean", (block) => block.tpot, mean),
  latency("TPOT median", (block) => block.tpot, median),
  { name: "ITL mean", unit: "ms", of: (blocks) => sum(blocks, (block) => block.gapSumMs) / sum(blocks, (block) => block.gapCount) },
  latency("E2EL mean", (block) => block.e2el, mean),
  latency("E2EL median", (block) => block.e2el, median),
];

/**
 * Block i of A and block i of B are the same requests, sent one block after the other. The bootstrap resamples pairs of blocks, so that what
 * slows both servers for a while (a busy machine) affects both sides of a ratio. Figures that one side lacks are left out.
 */
export function compareBlocks(blocksOfA: readonly LoadResult[], blocksOfB: readonly LoadResult[], seed: number): Ratio[] {
  const [a, b] = [blocksOfA.map(toFigures), blocksOfB.map(toFigures)];
  return figures.flatMap(({ name, unit, of }, stream) => {
    const [valueA, valueB] = [of(a), of(b)];
    if (!valueA || !valueB) return [];
    const random = new SeededRandom(seed, stream);
    const ratios = Array.from({ length: resamples }, () => {
      const drawn = a.map(() => random.below(a.length));
      const [drawnA, drawnB] = [of(drawn.map((i) => a[i]!)), of(drawn.map((i) => b[i]!))];
      return drawnA && drawnB ? drawnB / drawnA : undefined;
    }).filter((ratio) => ratio !== undefined);
    const sorted = Float64Array.from(ratios).toSorted();
    return [{ name, unit, a: valueA, b: valueB, ratio: valueB / valueA, low: percentile(sorted, 2.5), high: percentile(sorted, 97.5) }];
  });
}

function toFigures({ records, durationMs }: LoadResult): BlockFigures {
  const complete = records.filter(isComplete);
  return {
    durationMs,
    requests: complete.length,
    outputTokens: sum(complete, (record) => record.outputTokens),
    totalTokens: sum(complete, (record) => record.promptTokens + record.outputTokens),
    ttft: complete.flatMap(({ ttftMs }) => ttftMs ?? []),
    tpot: complete.flatMap((record) => timePerOutputToken(record) ?? []),
    gapCount: sum(complete, ({ gapsMs }) => gapsMs.length),
    gapSumMs: sum(complete, ({ gapsMs }) => sum(gapsMs, (gap) => gap)),
    e2el: complete.map(({ e2elMs }) => e2elMs),
  };
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

/** Concatenates the blocks of one server into one load. */
export function joinBlocks(blocks: readonly LoadResult[]): LoadResult {
  let beginMs = 0;
  const records = blocks.flatMap((block) => {
    const moved = block.records.map((record) => ({ ...record, startMs: record.startMs + beginMs }));
    beginMs += block.durationMs;
    return moved;
  });
  return { records, durationMs: beginMs };
}

/** Divides `count` requests into at most `most` blocks of nearly equal size. Returns the first index of each block, then `count`. */
export function cutIntoBlocks(count: number, most: number): number[] {
  const blocks = Math.min(count, most);
  return Array.from({ length: blocks + 1 }, (_, i) => Math.round((i * count) / blocks));
}
