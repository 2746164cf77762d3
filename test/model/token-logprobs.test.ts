import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BestOfRow } from "../../src/model/sampler-run.ts";
import { rankOf, tokenLogprobs } from "../../src/model/token-logprobs.ts";

/** What the sampler graph says of a row at temperature 1. */
function bestOf(row: Float32Array, candidateCount: number): BestOfRow {
  const best = Math.max(...row);
  const order = [...row.keys()].toSorted((a, b) => row[b]! - row[a]! || a - b).slice(0, candidateCount);
  return {
    values: Float32Array.from(order, (id) => row[id]!),
    tokenIds: BigInt64Array.from(order, BigInt),
    logSumExp: Math.fround(best + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - best), 0))),
    sumLanes: 1,
    vocabSize: row.length,
  };
}

describe("log-probabilities", () => {
  test("are those of the definition, the best first and the lower id among equals", () => {
    const logits = fc.oneof(
      fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 40 }),
      fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 1, maxLength: 40 }), // many ties
    );
    fc.assert(
      fc.property(logits, fc.nat(39), fc.nat(20), fc.nat(20), (values, place, count, more) => {
        const row = Float32Array.from(values);
        const tokenId = place % row.length;
        const best = Math.max(...row);
        const logSum = best + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - best), 0));
        const order = [...row.keys()].toSorted((a, b) => row[b]! - row[a]! || a - b);

        const ranked = bestOf(row, Math.max(1, count + more));
        const { logprob, top } = tokenLogprobs(ranked, tokenId, count, () => row[tokenId]!);

        expect(logprob).toBeCloseTo(row[tokenId]! - logSum, 4);
        expect(logprob).toBeLessThanOrEqual(0);
        expect(top.map((token) => token.tokenId)).toEqual(order.slice(0, count));
        expect(rankOf(ranked, tokenId, () => row)).toBe(1 + order.indexOf(tokenId));
        for (const token of top) expect(token.logprob).toBeCloseTo(row[token.tokenId]! - logSum, 4);
      }),
      { numRuns: 500, seed: 5 },
    );
  });

  test("are finite for logits that no exponential can hold, and minus infinite for one that is", () => {
    const row = Float32Array.of(5000, 4999, -Infinity);
    const { logprob, top } = tokenLogprobs(bestOf(row, 2), 2, 2, () => row[2]!);
    expect(logprob).toBe(-Infinity);
    expect(top[0]!.logprob).toBeCloseTo(-Math.log(1 + Math.exp(-1)), 3);
  });

  test("are never above 0, though the sum is rounded", () => {
    const row = { ...bestOf(Float32Array.of(9, 0), 2), logSumExp: 9 - 2 ** -20 };
    expect(tokenLogprobs(row, 0, 1, () => 9)).toEqual({ logprob: 0, top: [{ tokenId: 0, logprob: 0 }] });
  });

  test("need no more of a row than its best tokens, when the token is one of them", () => {
    const row = Float32Array.of(3, 2, 2, 1, 0);
    const noRow = (): never => expect.fail("the row is not needed");
    expect(rankOf(bestOf(row, 4), 2, noRow)).toBe(3);
    expect(tokenLogprobs(bestOf(row, 4), 3, 2, noRow).top).toHaveLength(2);
    expect(rankOf(bestOf(row, 2), 1, () => row)).toBe(2); // equal to one that is not listed
  });
});
