import { assert, integer, option, property } from "fast-check";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/core/errors.ts";
import { planKvBudget, type KvBudgetRequest } from "../../src/model/kv-budget.ts";

/** 100 bytes per token, a context of 8000 tokens; budgets are given in tokens. */
function plan(budgetTokens: number, wishes: Partial<KvBudgetRequest> = {}) {
  return planKvBudget({
    budgetBytes: budgetTokens * 100,
    bytesPerToken: 100,
    modelMaxLength: 8000,
    maxModelLength: undefined,
    maxSequences: undefined,
    canBeInt8: true,
    ...wishes,
  });
}

describe("without wishes", () => {
  test.each([
    ["plenty of memory: 16 sequences of the whole context", 1_000_000, 16, 8000],
    ["exactly that much", 128_000, 16, 8000],
    ["less: fewer sequences first", 127_999, 15, 8000],
    ["four whole contexts", 32_000, 4, 8000],
    ["less than four: shorter ones", 31_999, 4, 7999],
    ["four of the shortest", 4096, 4, 1024],
    ["less: fewer again", 4095, 3, 1365],
    ["almost nothing", 1024, 1, 1024],
  ])("%s", (_, budget, slotCount, capacity) => {
    expect(plan(budget)).toEqual({ slotCount, capacity, bytes: slotCount * capacity * 100 });
  });

  test("no room for one sequence of a useful length is refused", () => {
    expect(() => plan(1023)).toThrow(
      /^a KV cache of 1 × 1024 tokens takes 0\.00 GiB \(0\.1 KiB a token\), there is room for 0\.00 GiB; lower /,
    );
  });

  test("a model of short contexts gets all of them", () => {
    expect(plan(1000, { modelMaxLength: 250 })).toMatchObject({ slotCount: 4, capacity: 250 });
    expect(() => plan(249, { modelMaxLength: 250 })).toThrow(/1 × 250 tokens/);
  });
});

describe("a model of long contexts", () => {
  test.each([
    ["enough for all", 3_000_000, 16, 131_072],
    ["less: shorter slots first, down to 32,768 tokens", 16 * 40_000, 16, 40_000],
    ["then fewer", 10 * 33_000, 10, 33_000],
    ["never fewer than four", 4 * 20_000, 4, 20_000],
  ])("%s", (_, budget, slotCount, capacity) => {
    expect(plan(budget, { modelMaxLength: 131_072 })).toMatchObject({ slotCount, capacity });
  });
});

describe("wishes", () => {
  test("a length is taken as it is, with as many sequences as fit", () => {
    expect(plan(2000, { maxModelLength: 250 })).toMatchObject({ slotCount: 8, capacity: 250 });
  });

  test("a number of sequences is taken as it is, with contexts as long as fit", () => {
    expect(plan(20_000, { maxSequences: 5 })).toMatchObject({ slotCount: 5, capacity: 4000 });
    expect(plan(20_000, { maxSequences: 1 })).toMatchObject({ slotCount: 1, capacity: 8000 });
    expect(plan(20_480, { maxSequences: 20 })).toMatchObject({ slotCount: 20, capacity: 1024 });
  });

  test("a number of sequences that leaves too short a context is refused with the numbers that fit", () => {
    expect(() => plan(40_000, { maxSequences: 4096 })).toThrow(
      /^a KV cache of 4096 × 1024 tokens takes 0\.39 GiB .*, there is room for 0\.00 GiB, which is 39 × 1024 or 5 × 8000 tokens; lower --max-num-seqs/,
    );
    expect(plan(40_000, { maxSequences: 39 })).toMatchObject({ slotCount: 39, capacity: 1025 });
    expect(plan(40_000, { maxSequences: 2000, maxModelLength: 20 })).toMatchObject({ slotCount: 2000, capacity: 20 });
  });

  test("both are taken as they are, or refused with what they take and what to lower", () => {
    expect(plan(2000, { maxSequences: 20, maxModelLength: 100 })).toEqual({ slotCount: 20, capacity: 100, bytes: 200_000 });
    expect(() => plan(1999, { maxSequences: 20, maxModelLength: 100, canBeInt8: false })).toThrow(/or --max-model-len$/);
    expect(() => plan(1999, { maxSequences: 20, maxModelLength: 100 })).toThrow(
      /20 × 100 tokens takes 0\.00 GiB \(0\.1 KiB a token\), there is room for 0\.00 GiB, which is 19 × 100 tokens; lower --max-num-seqs or --max-model-len, or use --kv-cache-dtype int8$/,
    );
  });

  test("a length is kept even where it leaves room for one sequence only, and refused where for none", () => {
    expect(plan(3000, { maxModelLength: 1000 })).toMatchObject({ slotCount: 3, capacity: 1000 });
    expect(plan(1000, { maxModelLength: 1000 })).toMatchObject({ slotCount: 1, capacity: 1000 });
    expect(() => plan(999, { maxModelLength: 1000 })).toThrow(/1 × 1000 tokens/);
  });

  test("a length beyond the model is refused, whatever the memory", () => {
    expect(() => plan(1e9, { maxModelLength: 8001 })).toThrow("--max-model-len is 8001, but this model goes up to 8000; ask for less");
  });
});

test("a plan never exceeds the budget or the model, and keeps every wish", () => {
  const wish = (max: number) => option(integer({ min: 1, max }), { nil: undefined });
  assert(
    property(integer({ min: 0, max: 100_000 }), wish(64), wish(8000), (budget, maxSequences, maxModelLength) => {
      let planned;
      try {
        planned = plan(budget, { maxSequences, maxModelLength });
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        return;
      }
      expect(planned.bytes).toBe(planned.slotCount * planned.capacity * 100);
      expect(planned.bytes).toBeLessThanOrEqual(budget * 100);
      expect(planned.capacity).toBeGreaterThanOrEqual(maxModelLength ?? 1024);
      expect(planned.capacity).toBeLessThanOrEqual(8000);
      if (maxSequences !== undefined) expect(planned.slotCount).toBe(maxSequences);
      if (maxModelLength !== undefined) expect(planned.capacity).toBe(maxModelLength);
    }),
  );
});
