// The host's part of sampling: from the best logits of a row, and from the whole row when they do not decide, to one token id.

import type { TokenDraw } from "../core/batch.ts";
import { EngineError } from "../core/errors.ts";
import type { SamplingParams } from "../core/sampling.ts";
import { findPermission, type Permission } from "./permission.ts";
import { rankTokens, type RankedTokens } from "./rank-tokens.ts";

/** One row as the sampler graph leaves it. Scaled means: multiplied by `inverseTemperature`, in float32. */
export type SamplerRow = {
  /** [K ≥ 1]: the largest scaled logits, descending */
  readonly values: Float32Array;
  /** [K] */
  readonly tokenIds: ArrayLike<number | bigint>;
  /** Over all scaled logits. */
  readonly logSumExp: number;
  readonly vocabSize: number;
  /** Fetches the unscaled logits [vocabSize]. Not changed. */
  readonly fullRow: () => Float32Array;
};

/** The first tokens in the order of sampling. A weight is a probability relative to the best token's. */
type Candidates = {
  readonly tokenIds: Int32Array;
  /** [n], descending */
  readonly weights: Float64Array;
  /** [n + 1]: sum of the weights before */
  readonly cumulative: Float64Array;
  /** No token that is not among them weighs more. 0 when there is none. */
  readonly restWeight: number;
};

/** Bounds of a sum of weights, equal when it is known. */
type Range = { readonly low: number; readonly high: number };

/** Temperatures below are greedy: scaled logits would leave the range of float32. */
const minTemperature = 1e-5;

/** Candidates that are looked at first: they decide nearly all draws, and all of them take twice as long. */
const firstLook = 32;

/** How far below the best logit a row is ranked, in steps until that decides: most draws need few tokens, some need all. */
const rankingDepths = [8, 16, Infinity];

/** Bound of the relative difference of float64 sums of up to 2^20 weights taken in different orders. */
const roundingError = 2 ** -32;

/** What the device multiplies the logits of a row with. */
export function inverseTemperature({ temperature }: SamplingParams): number {
  return Math.fround(temperature < minTemperature ? 1 : 1 / temperature);
}

/**
 * Draws the next token: bias, penalties, what may not come left out, temperature, top-k, top-p (of what top-k left), min-p, then one
 * draw from what is kept, in the order of falling logits, lower id first among equals. The result is always that of ranking the
 * whole row: sums that only the whole row can tell are kept as bounds, and where the bounds disagree the row is fetched. Throws
 * EngineError when the logits are not finite, or nothing may come.
 */
export function drawToken(row: SamplerRow, draw: TokenDraw): number {
  const { params } = draw;
  if (changesLogits(params)) return drawFromRow(row.fullRow(), draw);
  if (!Number.isFinite(row.logSumExp)) throw new EngineError(`logits are not finite: their log-sum-exp is ${row.logSumExp}`);
  const permission = findPermission(draw, row.vocabSize);
  // Not equal to any other: nothing has to be ranked.
  if (isGreedy(params) && !permission && row.values[0]! > row.values[1]!) return Number(row.tokenIds[0]);
  for (const count of firstLook < row.values.length ? [firstLook, row.values.length] : [row.values.length]) {
    const { candidates, total } = lookAt(row, count, permission);
    if (isGreedy(params) && candidates.tokenIds.length > 0) return candidates.tokenIds[0]!;
    const tokenId = choose(candidates, total, row.vocabSize, draw);
    if (tokenId !== undefined) return tokenId;
  }
  return drawFromRow(row.fullRow(), draw);
}

/**
 * A number in [0, 1) that depends on seed and counter alone: the upper 53 bits of output number `drawIndex` of SplitMix64 started
 * at `seed` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
 */
export function randomUnit(seed: number, drawIndex: number): number {
  let z = BigInt.asUintN(64, BigInt(seed) + BigInt(drawIndex + 1) * 0x9e3779b97f4a7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return Number((z ^ (z >> 31n)) >> 11n) * 2 ** -53;
}

/** Whether the draw needs no sums: the largest logit wins. */
export function isGreedy({ temperature }: SamplingParams): boolean {
  return temperature < minTemperature;
}

function changesLogits({ logitBias = [], repetitionPenalty, presencePenalty, frequencyPenalty }: SamplingParams): boolean {
  return logitBias.length > 0 || repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
}

/** Bias, then repetition as transformers has it, then presence and frequency as OpenAI has them. */
function penalise(logits: Float32Array, { params, tokenIds, promptLength }: TokenDraw): Float32Array {
  const { logitBias = [], repetitionPenalty, presencePenalty, frequencyPenalty } = params;
  const biased = logits.slice();
  for (const [id, bias] of logitBias) biased[id]! += bias;
  const penalised = biased.slice();
  for (const id of tokenIds) {
    const logit = biased[id]!; // not of `penalised`: once, however often the token occurs
    penalised[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
  }
  const counts = new Map<number, number>();
  for (const id of tokenIds.subarray(promptLength)) counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const [id, count] of counts) penalised[id] = penalised[id]! - presencePenalty - count * frequencyPenalty;
  return penalised;
}

/** The device's first `limit` tokens, and the sum of all weights. Forbidden tokens are left out of both. */
function lookAt(row: SamplerRow, limit: number, permission: Permission | undefined): { candidates: Candidates; total: Range } {
  const last = limit === row.vocabSize ? -Infinity : row.values[limit - 1]!;
  const ranked = certainOf(row, limit);
  const best = row.values[0]!;
  const candidates = weigh(ranked, best, Math.exp(last - best));
  const total = totalWeight(row, candidates);
  if (!permission) return { candidates, total };
  const known = candidates.cumulative.at(-1)!;
  const logRest = (sum: number): number => best + Math.log(Math.max(0, sum - known));
  const isTooSmall = candidates.restWeight === 0 && last > -Infinity; // beside the best, not beside what may come
  const high = isTooSmall ? Infinity : logRest(total.high);
  return restrict(ranked, permission, { count: row.vocabSize - ranked.tokenIds.length, last, low: logRest(total.low), high });
}

/** Those of the device's first `limit` whose order is certain: tokens that were left out may be equal to the last, with lower ids. */
function certainOf({ values, tokenIds, vocabSize }: SamplerRow, limit: number): RankedTokens {
  const last = values[limit - 1]!;
  const count = limit === vocabSize ? limit : firstPlace(limit, (i) => values[i]! <= last);
  return { tokenIds: orderTies(values, tokenIds, count), logits: values.subarray(0, count) };
}

/** Tokens that are not looked at: none has a logit above `last`, and the logarithm of the sum of e^logit lies in `low` … `high`. */
type Unseen = { readonly count: number; readonly last: number } & Range;

/** What is left without the tokens that may not come. */
function restrict(ranked: RankedTokens, permission: Permission, unseen: Unseen): { candidates: Candidates; total: Range } {
  const { mayCome, count } = permission;
  const places = [...ranked.tokenIds.keys()].filter((i) => mayCome(ranked.tokenIds[i]!) && ranked.logits[i]! > -Infinity);
  const tokenIds = Int32Array.from(places, (i) => ranked.tokenIds[i]!);
  const logits = Float32Array.from(places, (i) => ranked.logits[i]!);
  const best = Math.max(logits[0] ?? unseen.last, -Number.MAX_VALUE); // never −∞ − −∞
  const candidates = weigh({ tokenIds, logits }, best, Math.exp(unseen.last - best));
  const known = candidates.cumulative.at(-1)!;
  const permitted = count - places.length;
  const high = Math.min(permitted * candidates.restWeight, Math.exp(unseen.high - best));
  const low = Math.max(0, Math.exp(unseen.low - best) - (unseen.count - permitted) * candidates.restWeight);
  if (high === 0) return { candidates, total: exactly(known) };
  return { candidates, total: { low: Math.min(known + low * (1 - 2 * roundingError), known + high), high: loosely(known + high) } };
}

/** The first ids, with those of equal logits in rising order. */
function orderTies(values: Float32Array, tokenIds: SamplerRow["tokenIds"], count: number): Int32Array {
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

/** Sum of all weights, from the device's log-sum-exp. */
function totalWeight({ values, logSumExp, vocabSize }: SamplerRow, { weights, cumulative, restWeight }: Candidates): Range {
  const known = cumulative[weights.length]!;
  if (restWeight === 0) return exactly(known);
  // A sum in float32 in whatever order loses at most 2^-24 with each weight, and the result and the exponents are rounded too.
  const relativeError = vocabSize * 2 ** -24 + (32 + Math.abs(logSumExp)) * 2 ** -22;
  const total = Math.exp(logSumExp - values[0]!);
  if (total * (1 + relativeError) < known) throw new EngineError(`log-sum-exp ${logSumExp} is less than that of the best logits`);
  return { low: Math.max(known, total * (1 - relativeError)), high: total * (1 + relativeError) };
}

/** Draws from the unscaled logits [vocab] alone, which it does not change. */
export function drawFromRow(logits: Float32Array, draw: TokenDraw): number {
  const { params } = draw;
  const penalised = changesLogits(params) ? penalise(logits, draw) : logits;
  const permission = findPermission(draw, logits.length);
  if (isGreedy(params) && !permission) return argmax(penalised);
  const scaled = scale(penalised, inverseTemperature(params));
  if (permission) forbid(scaled, permission);
  const bestId = argmax(scaled);
  if (isGreedy(params)) return bestId;
  const best = scaled[bestId]!;
  const sum = sumOfWeights(scaled, best);
  const total = { low: sum * (1 - roundingError), high: sum * (1 + roundingError) };
  for (const depth of rankingDepths) {
    const isWhole = depth === Infinity;
    const candidates = weigh(rankTokens(scaled, best - depth), best, isWhole ? 0 : Math.exp(-depth));
    const known = candidates.cumulative.at(-1)!;
    const tokenId = choose(candidates, isWhole ? exactly(known) : total, scaled.length, draw);
    if (tokenId !== undefined) return tokenId;
  }
  throw new EngineError("internal error: a whole row left the draw undecided");
}

// Plain loops below: array methods take several times as long, which shows for a vocabulary of 10^5.

function scale(logits: Float32Array, factor: number): Float32Array {
  const scaled = new Float32Array(logits.length);
  for (let id = 0; id < logits.length; id++) scaled[id] = logits[id]! * factor;
  return scaled;
}

/** The lowest id among the largest. Throws EngineError when the logits are not finite. */
function argmax(logits: Float32Array): number {
  let bestId = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (!(logit < Infinity)) throw new EngineError(`logits are not finite: that of token ${id} is ${logit}`);
    if (logit > logits[bestId]!) bestId = id;
  }
  if (logits[bestId] === -Infinity) throw new EngineError("logits are not finite: those of all tokens that may come are -Infinity");
  return bestId;
}

function forbid(logits: Float32Array, { mayCome }: Permission): void {
  for (let id = 0; id < logits.length; id++) if (!mayCome(id)) logits[id] = -Infinity;
}

function sumOfWeights(logits: Float32Array, best: number): number {
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - best);
  return sum;
}

function weigh({ tokenIds, logits }: RankedTokens, best: number, restWeight: number): Candidates {
  const weights = new Float64Array(logits.length);
  const cumulative = new Float64Array(logits.length + 1);
  for (let i = 0; i < logits.length; i++) {
    weights[i] = Math.exp(logits[i]! - best);
    cumulative[i + 1] = cumulative[i]! + weights[i]!;
  }
  return { tokenIds, weights, cumulative, restWeight };
}

/** The drawn token, or undefined when these candidates do not decide. Whole rows always do. */
function choose(candidates: Candidates, total: Range, vocabSize: number, { params, drawIndex }: TokenDraw): number | undefined {
  const kept = keptWeight(candidates, total, vocabSize, params);
  if (!kept) return undefined;
  const unit = randomUnit(params.seed, drawIndex);
  const { cumulative, tokenIds } = candidates;
  const place = firstPlace(tokenIds.length, (i) => cumulative[i + 1]! > unit * kept.low);
  const isSure = place === firstPlace(tokenIds.length, (i) => cumulative[i + 1]! > unit * kept.high);
  return isSure ? tokenIds[place] : undefined; // also when the place is beyond the candidates
}

/** Sum of the weights that top-k, top-p and min-p keep: those of the first tokens, up to some count. Undefined: cannot be told. */
function keptWeight(candidates: Candidates, total: Range, vocabSize: number, params: SamplingParams): Range | undefined {
  const { weights, cumulative, restWeight } = candidates;
  const { topP, minP } = params;
  const known = weights.length;
  const knownWeight = cumulative[known]!;
  const limit = params.topK > 0 ? Math.min(params.topK, vocabSize) : vocabSize;

  // Tokens kept; undefined: more than the candidates.
  let count = limit <= known ? limit : undefined;
  let kept = exactly(cumulative[limit] ?? 0);
  if (count === undefined) {
    const low = limit === vocabSize ? total.low : knownWeight;
    kept = { low, high: Math.min(total.high, loosely(knownWeight + (limit - known) * restWeight)) };
  }

  if (topP < 1) {
    const reach = countReaching(cumulative, topP * kept.low);
    if (reach !== countReaching(cumulative, topP * kept.high)) return undefined;
    if (reach === undefined) {
      const high = Math.min(kept.high, loosely(topP * kept.high + restWeight));
      kept = { low: Math.max(knownWeight, topP * kept.low), high };
    } else kept = exactly(cumulative[reach]!);
    count = reach;
  }

  if (minP > 0) {
    const above = firstPlace(known, (i) => weights[i]! < minP);
    const isKnown = above < known || restWeight < minP;
    if (isKnown && above < (count ?? Infinity)) kept = exactly(cumulative[above]!);
    else if (count === undefined) kept = { low: knownWeight, high: kept.high };
  }
  return kept;
}

/** The fewest first tokens, at least one, that weigh `target` together; undefined: more than the candidates. */
function countReaching(cumulative: Float64Array, target: number): number | undefined {
  const known = cumulative.length - 1;
  const place = firstPlace(known, (i) => cumulative[i + 1]! >= target);
  return place < known ? place + 1 : undefined;
}

/** The first of `count` places from which on the claim holds; `count` when it holds nowhere. */
function firstPlace(count: number, holds: (place: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function exactly(sum: number): Range {
  return { low: sum, high: sum };
}

/** An upper bound that rounding cannot break. */
function loosely(bound: number): number {
  return bound * (1 + roundingError);
}
