// What the device's list of a row's best logits tells of a draw, after bias and penalties and without what may not come.

import type { LogitChanges } from "../core/batch.ts";
import { EngineError } from "../core/errors.ts";
import type { SamplingParams } from "../core/sampling.ts";
import { type Candidates, exactly, firstPlace, loosely, type Range, roundingError, weigh } from "./candidates.ts";
import type { MaskedDraw, Permission } from "./permission.ts";
import type { RankedTokens } from "./rank-tokens.ts";

/** One row as the sampler graph leaves it. Scaled means: multiplied by `inverseTemperature`, in float32. */
export type SamplerRow = {
  /** [K ≥ 1]: the largest scaled logits, descending */
  readonly values: Float32Array;
  /** [K] */
  readonly tokenIds: ArrayLike<number | bigint>;
  /** Over all scaled logits. */
  readonly logSumExp: number;
  /** Partial sums, at the least, that its sum was added up from. */
  readonly sumLanes: number;
  readonly vocabSize: number;
  /** Fetches the unscaled logits [vocabSize]. Not changed. */
  readonly fullRow: () => Float32Array;
};

/** Temperatures below are greedy: scaled logits would leave the range of float32. */
const minTemperature = 1e-5;

/** What the device multiplies the logits of a row with. */
export function inverseTemperature({ temperature }: SamplingParams): number {
  return Math.fround(temperature < minTemperature ? 1 : 1 / temperature);
}

/** Whether the draw needs no sums: the largest logit wins. */
export function isGreedy({ temperature }: SamplingParams): boolean {
  return temperature < minTemperature;
}

/** The device's first `limit` tokens and those that rise above them, and the sum of all weights. Forbidden tokens are left out of both. */
export function lookAt(
  row: SamplerRow,
  limit: number,
  { changes, params }: MaskedDraw,
  permission: Permission | undefined,
  looked: readonly KnownToken[],
): { candidates: Candidates; total: Range } {
  const last = limit === row.vocabSize ? -Infinity : row.values[limit - 1]!;
  const listed = certainOf(row, limit);
  const best = row.values[0]!;
  const candidates = weigh(listed, best, Math.exp(last - best));
  const total = totalWeight(row, candidates);
  if (!permission && !changes) return { candidates, total };
  const known = candidates.cumulative.at(-1)!;
  const isTooSmall = candidates.restWeight === 0 && last > -Infinity; // beside the best, not beside what may come
  const rest = { low: Math.max(0, total.low - known), high: isTooSmall ? Infinity : Math.max(0, total.high - known) };
  const view: View = { ranked: listed, last, best, rest };
  const changed = changes ? changeView(view, changes, looked, inverseTemperature(params)) : view;
  return restrict(changed, row.vocabSize, permission);
}

/** Tokens in the order of sampling, and what is known of the others: none has a logit above `last`. */
type View = {
  readonly ranked: RankedTokens;
  readonly last: number;
  /** Sum of e^(logit − best) of the others. */
  readonly rest: Range;
  readonly best: number;
};

/** A token that bias or penalties change: its scaled logit, and what becomes of it. */
export type KnownToken = { readonly tokenId: number; readonly scaled: number; readonly logit: number };

/** Of tokens that the device's list need not tell of. Fetches the row when there are any. */
export function lookUp(row: SamplerRow, changes: LogitChanges, tokenIds: Iterable<number>, factor: number): KnownToken[] {
  const tokens: KnownToken[] = [];
  let logits: Float32Array | undefined;
  for (const tokenId of tokenIds) {
    logits ??= row.fullRow();
    const scaled = Math.fround(logits[tokenId]! * factor);
    tokens.push({ tokenId, scaled, logit: changes.changed(tokenId, scaled, factor) });
  }
  return tokens;
}

/**
 * The view after bias and penalties: what falls to `last` or below is no longer ranked, what rises above it is. `looked`: tokens that were looked
 * up, at least those that may rise.
 */
function changeView({ ranked, last, best, rest }: View, changes: LogitChanges, looked: readonly KnownToken[], factor: number): View {
  const tokens: { tokenId: number; logit: number }[] = [];
  let low = rest.low * (1 - roundingError);
  let high = rest.high;
  const place = (tokenId: number, logit: number): void => {
    if (logit > last) {
      tokens.push({ tokenId, logit });
      return;
    }
    const weight = Math.exp(logit - best);
    low += weight * (1 - roundingError);
    high += weight === 0 && logit > -Infinity ? Infinity : loosely(weight);
  };
  const listed = new Set(looked.length > 0 ? ranked.tokenIds : []);
  let sinking = changes.count;
  for (let i = 0; i < ranked.tokenIds.length; i++) {
    const tokenId = ranked.tokenIds[i]!;
    const isChanged = changes.has(tokenId);
    if (isChanged) sinking--;
    place(tokenId, isChanged ? changes.changed(tokenId, ranked.logits[i]!, factor) : ranked.logits[i]!);
  }
  for (const { tokenId, scaled, logit } of looked) {
    if (listed.has(tokenId)) continue;
    sinking--;
    low -= loosely(Math.exp(scaled - best));
    place(tokenId, logit);
  }
  low -= sinking * loosely(Math.exp(last - best)); // any of those that were not looked up may have weighed as much as `last`
  const inOrder = tokens.toSorted((a, b) => b.logit - a.logit || a.tokenId - b.tokenId);
  const changed = {
    tokenIds: Int32Array.from(inOrder, (token) => token.tokenId),
    logits: Float32Array.from(inOrder, (token) => token.logit),
  };
  return { ranked: changed, last, best, rest: { low: Math.max(0, low), high: loosely(high) } };
}

/** Those of the device's first `limit` whose order is certain: tokens that were left out may be equal to the last, with lower ids. */
function certainOf({ values, tokenIds, vocabSize }: SamplerRow, limit: number): RankedTokens {
  const last = values[limit - 1]!;
  const count = limit === vocabSize ? limit : firstPlace(limit, (i) => values[i]! <= last);
  return { tokenIds: orderTies(values, tokenIds, count), logits: values.subarray(0, count) };
}

/** What is left without the tokens that may not come. */
function restrict(
  { ranked, last, best, rest }: View,
  vocabSize: number,
  permission: Permission | undefined,
): { candidates: Candidates; total: Range } {
  const tokenIds = new Int32Array(ranked.tokenIds.length);
  const logits = new Float32Array(ranked.tokenIds.length);
  let found = 0;
  for (let i = 0; i < ranked.tokenIds.length; i++) {
    if (ranked.logits[i] === -Infinity || (permission && !permission.mayCome(ranked.tokenIds[i]!))) continue;
    tokenIds[found] = ranked.tokenIds[i]!;
    logits[found++] = ranked.logits[i]!;
  }
  const newBest = Math.max(found > 0 ? logits[0]! : last, -Number.MAX_VALUE); // never −∞ − −∞
  const kept = { tokenIds: tokenIds.subarray(0, found), logits: logits.subarray(0, found) };
  const candidates = weigh(kept, newBest, Math.exp(last - newBest));
  const known = candidates.cumulative.at(-1)!;
  const unseen = vocabSize - ranked.tokenIds.length;
  const permitted = permission ? permission.count - found : unseen;
  const logScale = best - newBest;
  const high = Math.min(permitted * candidates.restWeight, Math.exp(Math.log(rest.high) + logScale));
  const low = Math.max(0, Math.exp(Math.log(rest.low) + logScale) - (unseen - permitted) * candidates.restWeight);
  if (high === 0) return { candidates, total: exactly(known) };
  return { candidates, total: { low: Math.min(known + low * (1 - 2 * roundingError), known + high), high: loosely(known + high) } };
}

/** The first ids, with those of equal logits in rising order. */
export function orderTies(values: Float32Array, tokenIds: SamplerRow["tokenIds"], count: number): Int32Array {
  const ordered = new Int32Array(count);
  // Lower halves: to make a BigInt of each takes longer than all the rest.
  const halves = tokenIds instanceof BigInt64Array ? new Int32Array(tokenIds.buffer, tokenIds.byteOffset, 2 * count) : undefined;
  for (let i = 0; i < count; i++) {
    const id = halves ? halves[2 * i]! : Number(tokenIds[i]);
    let place = i;
    for (; place > 0 && values[place - 1] === values[i] && ordered[place - 1]! > id; place--) ordered[place] = ordered[place - 1]!;
    ordered[place] = id;
  }
  return ordered;
}

/**
 * Sum of all weights, from the device's log-sum-exp. A sum in float32 loses at most 2^-24 with each addition that a weight goes through, and the
 * result and the exponents are rounded too.
 */
function totalWeight({ values, logSumExp, sumLanes, vocabSize }: SamplerRow, { weights, cumulative, restWeight }: Candidates): Range {
  const known = cumulative[weights.length]!;
  if (restWeight === 0) return exactly(known);
  const error = (additions: number): number => additions * 2 ** -24 + (32 + Math.abs(logSumExp)) * 2 ** -22;
  const total = Math.exp(logSumExp - values[0]!);
  if (total * (1 + error(vocabSize)) < known) throw new EngineError(`log-sum-exp ${logSumExp} is less than that of the best logits`);
  const relativeError = error(Math.min(vocabSize, vocabSize / sumLanes + sumLanes));
  const high = Math.min(total * (1 + relativeError), loosely(known + (vocabSize - weights.length) * restWeight));
  return { low: Math.min(Math.max(known, total * (1 - relativeError)), high), high: Math.max(known, high) };
}
