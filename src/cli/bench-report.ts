// Formats the figures of a load for a terminal.

import type { Ratio } from "../loadgen/comparison.ts";
import type { Distribution } from "../loadgen/percentiles.ts";
import type { Summary } from "../loadgen/summary.ts";
import { printable } from "../core/printable.ts";
import type { BenchOptions } from "./bench.ts";
import { alignColumns } from "./table.ts";

/** Delays in sending above this are mentioned. */
const noticeableLateMs = 10;

/** With fewer pairs, the interval cannot be trusted. */
const fewPairs = 5;

export function describeSummary(summary: Summary, { serviceLevel, load }: Pick<BenchOptions, "serviceLevel" | "load">): string[] {
  const { completed, failed, promptTokens, cachedTokens, outputTokens } = summary;
  const left = load.requests - completed - failed;
  const cached = cachedTokens > 0 ? ` (${((100 * cachedTokens) / promptTokens).toFixed(1)} % cached)` : "";
  const stopped = left > 0 ? `, ${left} not finished` : "";
  const conditions = Object.entries(serviceLevel ?? {}).map(([name, ms]) => `${name.toUpperCase()} ≤ ${ms} ms`);
  const lines: [name: string, text: string][] = [
    [
      "requests",
      `${whole(completed)} answered, ${whole(failed)} failed${stopped}, in ${(summary.durationMs / 1000).toFixed(2)} s, at most ${summary.peakConcurrency} at a time`,
    ],
    ["tokens", `${whole(promptTokens)} in prompts${cached}, ${whole(outputTokens)} in answers`],
    ["", `${whole(summary.outputThroughput)} output tokens/s, ${whole(summary.totalThroughput)} including prompts`],
    ["rate", `${summary.requestThroughput.toFixed(2)} requests/s`],
  ];
  if (summary.goodput !== undefined) lines.push(["goodput", `${summary.goodput.toFixed(2)} requests/s with ${conditions.join(", ")}`]);
  return [
    ...lines.map(([name, text]) => name.padEnd(9) + text),
    ...latencyTable(summary),
    ...notes(summary),
    ...summary.failures.map(({ kind, count, example }) => `failed   ${count} × ${printable(`${kind}: ${example}`)}`),
  ];
}

function latencyTable({ ttft, tpot, itl, e2el }: Summary): string[] {
  const rows: (readonly [string, Distribution | undefined])[] = [
    ["TTFT  time to first token", ttft],
    ["TPOT  time per output token after it", tpot],
    ["ITL   time between chunks", itl],
    ["E2EL  time to last token", e2el],
  ];
  if (!e2el) return [];
  const cells = rows.flatMap(([name, values]) =>
    values ? [[name, ...[values.mean, values.p50, values.p90, values.p95, values.p99, values.max].map(milliseconds)]] : [],
  );
  return ["", ...alignColumns([["ms", "mean", "p50", "p90", "p95", "p99", "max"], ...cells])];
}

function notes({ tokensPerChunk, withoutUsage, late, completed }: Summary): string[] {
  const found: string[] = [];
  if (withoutUsage > 0) found.push(`${withoutUsage} of ${completed} answers came without usage: their chunks are counted as tokens`);
  if (tokensPerChunk > 1.05)
    found.push(`${tokensPerChunk.toFixed(2)} tokens per chunk: each gap counts once in ITL, however many tokens follow it`);
  if (late && late.max > noticeableLateMs) {
    found.push(`requests were sent later than planned: by ${milliseconds(late.mean)} ms on average, ${milliseconds(late.max)} ms at most`);
  }
  return found.map((note) => `note     ${note}`);
}

/** Of two servers: B ÷ A, from so many pairs of blocks. */
export function describeComparison(ratios: readonly Ratio[], pairs: number, summaries: readonly Summary[]): string[] {
  if (pairs === 0) return ["", "nothing to compare: stopped before both servers were done with the same requests"];
  if (ratios.length === 0) return ["", "nothing to compare: one of the servers answered no request"];
  const rows = ratios.map(({ name, unit, a, b, ratio, low, high }) => [
    `${name}${unit === "ms" ? ", ms" : " per second"}`,
    ...(unit === "ms" ? [milliseconds(a), milliseconds(b)] : [rate(a), rate(b)]),
    ratio.toFixed(3),
    `${low.toFixed(3)} … ${high.toFixed(3)}`,
  ]);
  return [
    "",
    ...alignColumns([["", "A", "B", "B ÷ A", "95 % interval"], ...rows]),
    `${pairs} pairs of blocks. An interval with 1 inside shows no difference.`,
    ...(pairs < fewPairs ? [`note     ${pairs} pairs are too few to rely on: raise --requests or lower --concurrency`] : []),
    ...(isCachedUnlike(summaries)
      ? ["note     one server had far more of the prompts in its cache; use a new --seed for new prompts"]
      : []),
  ];
}

function isCachedUnlike(summaries: readonly Summary[]): boolean {
  const shares = summaries.map(({ cachedTokens, promptTokens }) => cachedTokens / Math.max(1, promptTokens));
  return Math.max(...shares) - Math.min(...shares) > 0.1;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function rate(value: number): string {
  return value >= 100 ? whole(value) : value.toFixed(2);
}

function milliseconds(value: number): string {
  return value >= 1000 ? whole(value) : value >= 10 ? value.toFixed(1) : value.toFixed(3);
}
