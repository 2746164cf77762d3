// What the model itself says of a token: log-probabilities from the best of a row of unscaled logits and their log-sum-exp.

import type { TokenLogprobs } from "../core/sampling.ts";
import { orderTies } from "./row-view.ts";
import type { BestOfRow } from "./sampler-run.ts";

/** With the `count` best tokens, best first, the lower id among equals. `logitOf` fetches the token's own logit. */
export function tokenLogprobs(row: BestOfRow, tokenId: number, count: number, logitOf: () => number): TokenLogprobs {
  const { values, logSumExp } = row;
  const ids = orderTies(values, row.tokenIds, values.length);
  const place = ids.indexOf(tokenId);
  // The sum is rounded: a token of all but the whole probability is not to have more.
  const logprobOf = (logit: number): number => Math.min(0, logit - logSumExp);
  const top = Array.from(ids.subarray(0, count), (id, i) => ({ tokenId: id, logprob: logprobOf(values[i]!) }));
  return { logprob: logprobOf(place < 0 ? logitOf() : values[place]!), top };
}

/** The place of a token among all by their logits, 1 for the best; the lower id goes first among equals. `fullRow` fetches all logits [vocab]. */
export function rankOf({ values, tokenIds, vocabSize }: BestOfRow, tokenId: number, fullRow: () => Float32Array): number {
  const place = orderTies(values, tokenIds, values.length).indexOf(tokenId);
  // Of those equal to the last of the list, some may not be in it.
  if (place >= 0 && (values.length === vocabSize || values[place]! > values.at(-1)!)) return place + 1;
  const logits = fullRow();
  const own = logits[tokenId]!;
  let before = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit > own || (logit === own && id < tokenId)) before++;
  }
  return before + 1;
}
