import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rankOf, tokenLogprobs } from "../../src/model/token-logprobs.ts";

describe("log-probabilities", () => {
  test("are those of the definition, the best first and the lower id among equals", () => {
    const logits = fc.oneof(
      fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 40 }),
      fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 1, maxLength: 40 }), // many ties
    );
    fc.assert(
      fc.property(logits, fc.nat(39), fc.nat(20), (values, place, count) => {
        const row = Float32Array.from(values);
        const tokenId = place % row.length;
        const best = Math.max(...row);
        const logSum = best + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - best), 0));
        const order = [...row.keys()].toSorted((a, b) => row[b]! - row[a]! || a - b);

        const { logprob, top } = tokenLogprobs(row, tokenId, count);

        expect(logprob).toBeCloseTo(row[tokenId]! - logSum, 5);
        expect(top.map((token) => token.tokenId)).toEqual(order.slice(0, count));
        expect(rankOf(row, tokenId)).toBe(1 + order.indexOf(tokenId));
        for (const token of top) expect(token.logprob).toBeCloseTo(row[token.tokenId]! - logSum, 5);
      }),
      { numRuns: 500, seed: 5 },
    );
  });

  test("are finite for logits that no exponential can hold, and minus infinite for one that is", () => {
    const { logprob, top } = tokenLogprobs(Float32Array.of(5000, 4999, -Infinity), 2, 2);
    expect(logprob).toBe(-Infinity);
    expect(top[0]!.logprob).toBeCloseTo(-Math.log(1 + Math.exp(-1)), 12);
  });
});
