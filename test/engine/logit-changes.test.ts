import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { greedy } from "../../src/core/sampling.ts";
import { createLogitChanges } from "../../src/engine/logit-changes.ts";

const ids = fc.array(fc.nat(9), { maxLength: 12 });
const wishes = fc.record({
  repetitionPenalty: fc.constantFrom(1, 1.5, 0.5),
  presencePenalty: fc.constantFrom(0, 0.5, -0.5),
  frequencyPenalty: fc.constantFrom(0, 0.25, -0.25),
  logitBias: fc.array(fc.tuple(fc.nat(9), fc.integer({ min: -3, max: 3 })), { maxLength: 3 }),
});

describe("bias and penalties", () => {
  test("are those of the definition, whatever was said before", () => {
    fc.assert(
      fc.property(wishes, ids, ids, fc.float({ min: -9, max: 9, noNaN: true }), (wish, prompt, answer, logit) => {
        const changes = createLogitChanges({ ...greedy, ...wish }, Int32Array.from(prompt));
        for (const id of answer) changes?.add(id);
        for (let id = 0; id < 10; id++) {
          const bias = wish.logitBias.reduce((sum, [biased, by]) => (biased === id ? sum + by : sum), 0);
          const count = answer.filter((other) => other === id).length;
          let expected = logit + 2 * bias;
          if (count > 0 || prompt.includes(id))
            expected = expected > 0 ? expected / wish.repetitionPenalty : expected * wish.repetitionPenalty;
          if (count > 0) expected -= 2 * (wish.presencePenalty + count * wish.frequencyPenalty);
          expect(changes?.has(id) ? changes.changed(id, logit, 2) : logit).toBeCloseTo(expected, 5);
        }
      }),
      { numRuns: 500, seed: 6 },
    );
  });

  test("make no token likelier that is not among the rising ones, and name each that changes once", () => {
    fc.assert(
      fc.property(wishes, ids, ids, fc.float({ min: -9, max: 9, noNaN: true }), (wish, prompt, answer, logit) => {
        const changes = createLogitChanges({ ...greedy, ...wish }, Int32Array.from(prompt));
        fc.pre(changes !== undefined);
        for (const id of answer) changes.add(id);
        const rising = [...changes.risingIds()];
        const all = Array.from({ length: 10 }, (_, id) => id);
        expect(new Set(rising).size).toBe(rising.length);
        for (const id of all) if (!rising.includes(id)) expect(changes.changed(id, logit, 1)).toBeLessThanOrEqual(logit);
        expect([...changes.tokenIds()].toSorted((a, b) => a - b)).toEqual(all.filter((id) => changes.has(id)));
        expect(changes.count).toBe([...changes.tokenIds()].length);
      }),
      { numRuns: 500, seed: 7 },
    );
  });

  test("are absent where nothing is asked for, and remember no prompt where only the answer counts", () => {
    expect(createLogitChanges(greedy, Int32Array.of(1, 2))).toBeUndefined();
    expect(createLogitChanges({ ...greedy, presencePenalty: 1 }, Int32Array.of(1, 2))?.count).toBe(0);
  });
});
