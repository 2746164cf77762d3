// The host's part of sampling: draws a token from the best logits of a row, or from the whole row if they do not decide.

import { EngineError } from "../core/errors.ts";
import { choose, exactly, roundingError, weigh } from "./candidates.ts";
import { findPermission, type MaskedDraw, type Permission } from "./permission.ts";
import { rankTokens } from "./rank-tokens.ts";
import { inverseTemperature, isGreedy, type KnownToken, lookAt, lookUp, type SamplerRow } from "./row-view.ts";

/** Candidates tried first. They decide nearly all draws, in half the time of all candidates. */
const firstLook = 32;

/** How far below the best logit a row is ranked, step by step until that decides: most draws need few tokens, some need all. */
const rankingDepths = [8, 16, Infinity];

/** If a mask allows at most this many tokens, only those are ranked. */
const fewTokens = 1024;

/** If bias or penalties change at most this many tokens, their logits are looked up instead of going through the whole row. */
const someTokens = 8192;

/**
 * Draws the next token. In order: bias, penalties, mask and banned ids, temperature, top-k, top-p (of what top-k kept), min-p, then one draw from
 * the kept tokens by falling logits, lower id first among equals. The result always equals that of ranking the whole row: sums over the row are
 * kept as bounds, and the row is ranked if the bounds do not decide. Throws EngineError if the logits are not finite or no token is allowed.
 */
export function drawToken(row: SamplerRow, draw: MaskedDraw): number {
  const { params, changes } = draw;
  if (!Number.isFinite(row.logSumExp)) throw new EngineError(`logits are not finite: their log-sum-exp is ${row.logSumExp}`);
  const permission = findPermission(draw, row.vocabSize);
  if (permission?.count === 1) return permission.tokenIds()[0]!;
  // The largest logit is unique, so nothing has to be ranked.
  if (isGreedy(params) && !permission && !changes && row.values[0]! > row.values[1]!) return Number(row.tokenIds[0]);
  const unit = randomUnit(params.seed, draw.drawIndex);
  const factor = inverseTemperature(params);
  const look = (count: number, known: readonly KnownToken[]): number | undefined => {
    const { candidates, total } = lookAt(row, count, draw, permission, known);
    if (isGreedy(params)) return candidates.tokenIds[0];
    return choose(candidates, total, row.vocabSize, params, unit);
  };
  const rising = changes ? lookUp(row, changes, changes.risingIds(), factor) : [];
  for (const count of firstLook < row.values.length ? [firstLook, row.values.length] : [row.values.length]) {
    const tokenId = look(count, rising);
    if (tokenId !== undefined) return tokenId;
  }
  if (changes && changes.count <= someTokens) {
    const tokenId = look(row.values.length, lookUp(row, changes, changes.tokenIds(), factor));
    if (tokenId !== undefined) return tokenId;
  }
  return drawFromPermitted(row.fullRow(), draw, permission);
}

/**
 * A number in [0, 1) that depends only on seed and counter: the upper 53 bits of output number `drawIndex` of SplitMix64 started at `seed`
 * (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
 */
export function randomUnit(seed: number, drawIndex: number): number {
  let z = BigInt.asUintN(64, BigInt(seed) + BigInt(drawIndex + 1) * 0x9e3779b97f4a7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return Number((z ^ (z >> 31n)) >> 11n) * 2 ** -53;
}

/** Draws from the unscaled logits [vocab], which it does not change. */
export function drawFromRow(logits: Float32Array, draw: MaskedDraw): number {
  return drawFromPermitted(logits, draw, findPermission(draw, logits.length));
}

function drawFromPermitted(logits: Float32Array, draw: MaskedDraw, permission: Permission | undefined): number {
  if (permission && permission.count > 0 && permission.count <= fewTokens) return drawFromFew(logits, draw, permission.tokenIds());
  const { params, changes } = draw;
  if (isGreedy(params) && !permission && !changes) return argmax(logits);
  const factor = inverseTemperature(params);
  const scaled = scale(logits, factor);
  if (changes) for (const tokenId of changes.tokenIds()) scaled[tokenId] = changes.changed(tokenId, scaled[tokenId]!, factor);
  if (permission) forbid(scaled, permission);
  const bestId = argmax(scaled);
  if (isGreedy(params)) return bestId;
  const best = scaled[bestId]!;
  const sum = sumOfWeights(scaled, best);
  const unit = randomUnit(params.seed, draw.drawIndex);
  const total = { low: sum * (1 - roundingError), high: sum * (1 + roundingError) };
  for (const depth of rankingDepths) {
    const isWhole = depth === Infinity;
    const candidates = weigh(rankTokens(scaled, best - depth), best, isWhole ? 0 : Math.exp(-depth));
    const known = candidates.cumulative.at(-1)!;
    const tokenId = choose(candidates, isWhole ? exactly(known) : total, scaled.length, params, unit);
    if (tokenId !== undefined) return tokenId;
  }
  throw new EngineError("internal error: a whole row left the draw undecided");
}

/** The same if only these tokens (ascending ids) are allowed. */
function drawFromFew(logits: Float32Array, { params, changes, drawIndex }: MaskedDraw, tokenIds: Int32Array): number {
  const factor = inverseTemperature(params);
  const scaled = Float32Array.from(tokenIds, (tokenId) => {
    const own = Math.fround(logits[tokenId]! * factor);
    return changes ? changes.changed(tokenId, own, factor) : own;
  });
  const bestPlace = argmax(scaled);
  if (isGreedy(params)) return tokenIds[bestPlace]!;
  const candidates = weigh(rankTokens(scaled, -Infinity), scaled[bestPlace]!, 0);
  const total = exactly(candidates.cumulative.at(-1)!);
  const place = choose(candidates, total, scaled.length, params, randomUnit(params.seed, drawIndex));
  if (place === undefined) throw new EngineError("internal error: all tokens that may come left the draw undecided");
  return tokenIds[place]!;
}

// Plain loops below: array methods take several times as long, which shows for a vocabulary of 10^5.

function scale(logits: Float32Array, factor: number): Float32Array {
  const scaled = new Float32Array(logits.length);
  for (let id = 0; id < logits.length; id++) scaled[id] = logits[id]! * factor;
  return scaled;
}

/** The id of the largest logit, the lowest among equals. Throws EngineError if the logits are not finite. */
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

/** A million weights this far below the best add less to a sum than its rounding error. */
const deepest = 64;

function sumOfWeights(logits: Float32Array, best: number): number {
  let sum = 0;
  for (let id = 0; id < logits.length; id++) {
    const depth = best - logits[id]!;
    if (depth < deepest) sum += Math.exp(-depth);
  }
  return sum;
}
