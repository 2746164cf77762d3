// What /metrics said over the last minutes, as series to draw.

/** Of one look at /metrics. */
export type Snapshot = {
  readonly atMs: number;
  /** Of the server's process; milliseconds since 1970. */
  readonly startedAt: number;
  readonly answers: number;
  readonly running: number;
  readonly waiting: number;
  /** 0 … 1. */
  readonly kvCacheUsage: number;
  readonly promptTokens: number;
  /** Of the prompts' tokens. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly firstToken: Timing;
  readonly nextToken: Timing;
};

/** Since the server started: seconds in all, and how many times. */
type Timing = { readonly seconds: number; readonly count: number };

/** Undefined: nothing was measured between two looks. */
export type Point = { readonly atMs: number; readonly value: number | undefined };

const keptMs = 5 * 60_000;
/** What is further apart was not measured in between. */
const joinedMs = 10_000;

/** Reads Prometheus's text format as far as this server writes it: the sum over all labels of each name. */
export function readSnapshot(text: string, atMs: number): Snapshot {
  const sums = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^ernie_vl_(\w+)(?:\{.*\})? (\S+)$/.exec(line);
    if (match) sums.set(match[1]!, (sums.get(match[1]!) ?? 0) + Number(match[2]));
  }
  const read = (name: string) => sums.get(name) ?? 0;
  const timing = (name: string) => ({ seconds: read(`${name}_sum`), count: read(`${name}_count`) });
  return {
    atMs,
    startedAt: read("process_start_time_seconds") * 1000,
    answers: read("request_success_total"),
    running: read("num_requests_running"),
    waiting: read("num_requests_waiting"),
    kvCacheUsage: read("kv_cache_usage_perc"),
    promptTokens: read("prompt_tokens_total"),
    cachedTokens: read("prefix_cache_hits_total"),
    outputTokens: read("generation_tokens_total"),
    firstToken: timing("time_to_first_token_seconds"),
    nextToken: timing("inter_token_latency_seconds"),
  };
}

/** With one snapshot more, and without those that are too old. A server that was started anew begins a history of its own. */
export function addSnapshot(history: readonly Snapshot[], snapshot: Snapshot): readonly Snapshot[] {
  const last = history.at(-1);
  if (last && snapshot.startedAt !== last.startedAt) return [snapshot];
  return [...history.filter(({ atMs }) => atMs >= snapshot.atMs - keptMs), snapshot];
}

export function levelOf(history: readonly Snapshot[], read: (snapshot: Snapshot) => number): Point[] {
  return history.map((snapshot) => ({ atMs: snapshot.atMs, value: read(snapshot) }));
}

/** Per second. */
export function rateOf(history: readonly Snapshot[], read: (snapshot: Snapshot) => number): Point[] {
  return between(history, (before, after) => ((read(after) - read(before)) * 1000) / (after.atMs - before.atMs));
}

/** Mean milliseconds of what ended between two looks. */
export function meanMsOf(history: readonly Snapshot[], read: (snapshot: Snapshot) => Timing): Point[] {
  return between(history, (before, after) => {
    const count = read(after).count - read(before).count;
    return count > 0 ? ((read(after).seconds - read(before).seconds) * 1000) / count : undefined;
  });
}

function between(history: readonly Snapshot[], value: (before: Snapshot, after: Snapshot) => number | undefined): Point[] {
  return history.slice(1).map((after, i) => ({ atMs: after.atMs, value: value(history[i]!, after) }));
}

/** Whole minutes that the looks reach back, to be the width of a chart. */
export function spanOf(history: readonly Snapshot[]): number {
  const reachMs = (history.at(-1)?.atMs ?? 0) - (history[0]?.atMs ?? 0);
  return Math.min(Math.max(Math.ceil(reachMs / 60_000), 1) * 60_000, keptMs);
}

type KnownPoint = { readonly atMs: number; readonly value: number };

/** What was measured, in stretches without a long gap. */
export function stretchesOf(points: readonly Point[]): KnownPoint[][] {
  const stretches: KnownPoint[][] = [];
  for (const { atMs, value } of points) {
    if (value === undefined) continue;
    const last = stretches.at(-1)?.at(-1);
    if (last && atMs - last.atMs <= joinedMs) stretches.at(-1)!.push({ atMs, value });
    else stretches.push([{ atMs, value }]);
  }
  return stretches;
}

/** A round number that all values are below, to be the top of a chart. */
export function roundTop(points: readonly Point[]): number {
  const most = Math.max(1, ...points.map(({ value }) => value ?? 0));
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= most)!;
}
