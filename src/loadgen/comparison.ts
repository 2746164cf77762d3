// Two servers under the same load in alternation: how their figures relate, and how sure that is.

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
  /** 95 % of the bootstrap's ratios lie between. */
  readonly low: number;
  readonly high: number;
};

const resamples = 1000;

/** A figure of a server, computed from any choice of its blocks; undefined or not a number where they have no such values. */
type Figure = { readonly name: string; readonly unit: Ratio["unit"]; readonly of: (blocks: readonly BlockFigures[]) => number | undefined };

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
  of: (blocks) => {
    const all = Float64Array.from(blocks.flatMap(values));
    return all.length === 0 ? undefined : reduce(all);
  },
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
 * Block i of A and block i of B are the same requests, sent one after the other. Pairs of blocks are drawn with replacement: what slows both
 * servers for a while (a busy machine) then moves both sides of a ratio. Figures that one side lacks are left out.
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

/** The blocks of one server as one load, one behind the other. */
export function joinBlocks(blocks: readonly LoadResult[]): LoadResult {
  let beginMs = 0;
  const records = blocks.flatMap((block) => {
    const moved = block.records.map((record) => ({ ...record, startMs: record.startMs + beginMs }));
    beginMs += block.durationMs;
    return moved;
  });
  return { records, durationMs: beginMs };
}

/** `count` requests in blocks of nearly the same size: their first indices, and the end. At most `most` blocks. */
export function cutIntoBlocks(count: number, most: number): number[] {
  const blocks = Math.min(count, most);
  return Array.from({ length: blocks + 1 }, (_, i) => Math.round((i * count) / blocks));
}
