// What the model itself says of a token that was drawn: log-probabilities from the unscaled logits of a row.

import type { TokenLogprobs } from "../core/sampling.ts";

/** Of the logits [vocab] as the model gave them; the `count` best tokens, best first, the lower id among equals. */
export function tokenLogprobs(logits: Float32Array, tokenId: number, count: number): TokenLogprobs {
  const logSum = logSumExp(logits);
  const top = bestIds(logits, count).map((id) => ({ tokenId: id, logprob: logits[id]! - logSum }));
  return { logprob: logits[tokenId]! - logSum, top };
}

/** The place of a token among all by their logits [vocab], 1 for the best; the lower id goes first among equals. */
export function rankOf(logits: Float32Array, tokenId: number): number {
  const own = logits[tokenId]!;
  let before = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit > own || (logit === own && id < tokenId)) before++;
  }
  return before + 1;
}

// Plain loops: array methods take several times as long, which shows for a vocabulary of 10^5.

function logSumExp(logits: Float32Array): number {
  let best = -Infinity;
  for (let id = 0; id < logits.length; id++) if (logits[id]! > best) best = logits[id]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - best);
  return best + Math.log(sum);
}

function bestIds(logits: Float32Array, count: number): number[] {
  const ids: number[] = [];
  if (count === 0) return ids;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (ids.length === count && logit <= logits[ids[count - 1]!]!) continue;
    let place = Math.min(ids.length, count - 1);
    for (; place > 0 && logits[ids[place - 1]!]! < logit; place--) ids[place] = ids[place - 1]!;
    ids[place] = id;
  }
  return ids;
}
