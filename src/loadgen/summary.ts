// The statistics of a load, with the definitions of vLLM's serving benchmark (docs/benchmarks-serving.md).

import { type FailureGroup, FailureGroups } from "../client/failure.ts";
import { describe, type Distribution } from "./percentiles.ts";
import { isComplete, type RequestRecord, timePerOutputToken } from "./request-record.ts";
import type { LoadResult } from "./run-load.ts";

/** Upper limits in milliseconds for a request to count as good. A missing limit is not checked. */
export type ServiceLevel = { readonly ttft?: number; readonly tpot?: number; readonly e2el?: number };

export type Summary = {
  readonly durationMs: number;
  readonly completed: number;
  readonly failed: number;
  readonly failures: readonly FailureGroup[];
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  /** Per second, over the whole duration. Failed requests do not count. */
  readonly requestThroughput: number;
  readonly outputThroughput: number;
  readonly totalThroughput: number;
  /** Requests per second that met the service level; undefined without one. */
  readonly goodput: number | undefined;
  /** The most requests in flight at the same time. */
  readonly peakConcurrency: number;
  readonly ttft: Distribution | undefined;
  readonly tpot: Distribution | undefined;
  readonly itl: Distribution | undefined;
  readonly e2el: Distribution | undefined;
  /** Delays between planned and actual sending; undefined if no times were planned. */
  readonly late: Distribution | undefined;
  /** Average tokens per chunk with text. Above 1, a gap between chunks spans several tokens, so ITL is larger than TPOT. */
  readonly tokensPerChunk: number;
  /** Answers without usage, whose chunks were counted as tokens. */
  readonly withoutUsage: number;
};

/** Latencies, tokens and throughput cover only the requests that were answered in full. */
export function summarize({ records, durationMs }: LoadResult, serviceLevel?: ServiceLevel): Summary {
  const complete = records.filter(isComplete);
  const failures = new FailureGroups();
  for (const { failure } of records) if (failure) failures.add(failure);
  const sum = (value: (record: RequestRecord) => number) => complete.reduce((total, record) => total + value(record), 0);
  const perSecond = (amount: number) => (durationMs > 0 ? (amount * 1000) / durationMs : 0);
  const promptTokens = sum((record) => record.promptTokens);
  const outputTokens = sum((record) => record.outputTokens);
  const chunkCount = sum(({ ttftMs, gapsMs }) => (ttftMs === undefined ? 0 : gapsMs.length + 1));
  const good = serviceLevel && complete.filter((record) => isGood(record, serviceLevel)).length;
  return {
    durationMs,
    completed: complete.length,
    failed: records.length - complete.length,
    failures: failures.list(),
    promptTokens,
    cachedTokens: sum((record) => record.cachedTokens),
    outputTokens,
    requestThroughput: perSecond(complete.length),
    outputThroughput: perSecond(outputTokens),
    totalThroughput: perSecond(promptTokens + outputTokens),
    goodput: good === undefined ? undefined : perSecond(good),
    peakConcurrency: peakConcurrency(records),
    ttft: describe(complete.flatMap(({ ttftMs }) => ttftMs ?? [])),
    tpot: describe(complete.flatMap((record) => timePerOutputToken(record) ?? [])),
    itl: describe(complete.flatMap(({ gapsMs }) => gapsMs)),
    e2el: describe(complete.map(({ e2elMs }) => e2elMs)),
    late: records.some(({ lateMs }) => lateMs !== 0) ? describe(records.map(({ lateMs }) => lateMs)) : undefined,
    tokensPerChunk: chunkCount === 0 ? 0 : outputTokens / chunkCount,
    withoutUsage: complete.filter(({ tokensFrom }) => tokensFrom === "chunks").length,
  };
}

/** An answer of one token has no time per output token, so it meets that limit. An answer without text has no TTFT, so it misses that one. */
function isGood(record: RequestRecord, { ttft = Infinity, tpot = Infinity, e2el = Infinity }: ServiceLevel): boolean {
  const { ttftMs = Infinity, e2elMs } = record;
  return ttftMs <= ttft && (timePerOutputToken(record) ?? 0) <= tpot && e2elMs <= e2el;
}

/** A request that starts at the moment another ends does not overlap with it. */
function peakConcurrency(records: readonly RequestRecord[]): number {
  const changes = records.flatMap(({ startMs, e2elMs }) => [
    { timeMs: startMs, by: 1 },
    { timeMs: startMs + e2elMs, by: -1 },
  ]);
  let now = 0;
  let peak = 0;
  for (const { by } of changes.toSorted((a, b) => a.timeMs - b.timeMs || a.by - b.by)) {
    now += by;
    peak = Math.max(peak, now);
  }
  return peak;
}
