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
    defaultSequences: 16,
    spareSlots: 0,
    sharing: undefined,
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
    expect(plan(budget)).toEqual({ slotCount, spareSlotCount: 0, capacity, bytes: slotCount * capacity * 100 });
  });

  test("no room for one sequence of a useful length is refused", () => {
    expect(() => plan(1023)).toThrow(
      /^a KV cache of 1 × 1024 tokens needs 100\.0 KiB \(100 B per token\), but only 99\.9 KiB is available; lower /,
    );
  });

  test("a model of short contexts gets all of them", () => {
    expect(plan(1000, { modelMaxLength: 250 })).toMatchObject({ slotCount: 4, capacity: 250 });
    expect(() => plan(249, { modelMaxLength: 250 })).toThrow(/1 × 250 tokens/);
  });
});

describe("spare slots", () => {
  const sharing = { pageTokens: 100, addressableTokens: Infinity, canAddress: () => true };

  test.each([
    ["as many as there are to be, where the memory suffices", 1_000_000, { spareSlots: 20 }, { spareSlotCount: 20, bytes: 36 * 800_000 }],
    ["no more than there is memory for", 150_000, {}, { spareSlotCount: 2, bytes: 18 * 800_000 }],
    ["none where sequences take it all", 128_000, {}, { bytes: 16 * 800_000 }],
    ["addresses only, where memory is shared", 40_000, { sharing }, { spareSlotCount: 64, bytes: 4_000_000 }],
    ["no more than there are pages", 4000, { sharing, maxSequences: 30 }, { slotCount: 30, spareSlotCount: 10, bytes: 400_000 }],
    [
      "none where there are no addresses for them",
      40_000,
      { sharing: { ...sharing, canAddress: (tokens: number) => tokens <= 128_000 } },
      { bytes: 4_000_000, pages: { tokens: 100, count: 400 } },
    ],
  ])("%s", (_, budget, wishes, expected) => {
    expect(plan(budget, { spareSlots: 64, ...wishes })).toMatchObject({ spareSlotCount: 0, ...expected });
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
      /^a KV cache of 4096 × 1024 tokens needs 400\.0 MiB .*, but only 3\.8 MiB is available, enough for 39 × 1024 or 5 × 8000 tokens; lower --max-num-seqs/,
    );
    expect(plan(40_000, { maxSequences: 39 })).toMatchObject({ slotCount: 39, capacity: 1025 });
    expect(plan(40_000, { maxSequences: 2000, maxModelLength: 20 })).toMatchObject({ slotCount: 2000, capacity: 20 });
  });

  test("both are taken as they are, or refused with what they take and what to lower", () => {
    expect(plan(2000, { maxSequences: 20, maxModelLength: 100 })).toEqual({
      slotCount: 20,
      spareSlotCount: 0,
      capacity: 100,
      bytes: 200_000,
    });
    expect(() => plan(1999, { maxSequences: 20, maxModelLength: 100, canBeInt8: false })).toThrow(/or --max-model-len$/);
    expect(() => plan(1999, { maxSequences: 20, maxModelLength: 100 })).toThrow(
      /20 × 100 tokens needs 195\.3 KiB \(100 B per token\), but only 195\.2 KiB is available, enough for 19 × 100 tokens; lower --max-num-seqs or --max-model-len, or use --kv-cache-dtype int8$/,
    );
  });

  test("a length is kept even where it leaves room for one sequence only, and refused where for none", () => {
    expect(plan(3000, { maxModelLength: 1000 })).toMatchObject({ slotCount: 3, capacity: 1000 });
    expect(plan(1000, { maxModelLength: 1000 })).toMatchObject({ slotCount: 1, capacity: 1000 });
    expect(() => plan(999, { maxModelLength: 1000 })).toThrow(/1 × 1000 tokens/);
  });

  test("a length beyond the model is refused, whatever the memory", () => {
    expect(() => plan(1e9, { maxModelLength: 8001 })).toThrow("--max-model-len is 8001, but this model supports at most 8000 tokens");
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

describe("slots that can share their memory, in pages of 100 tokens", () => {
  const sharing = { pageTokens: 100, addressableTokens: Infinity, canAddress: () => true };
  const shared = (budgetTokens: number, wishes: Partial<KvBudgetRequest> = {}) => plan(budgetTokens, { sharing, ...wishes });

  test.each([
    ["all fit side by side: nothing is shared", 128_000, {}, { slotCount: 16, capacity: 8000, bytes: 12_800_000 }],
    [
      "one page less: each may still have the whole context",
      127_999,
      {},
      { slotCount: 16, capacity: 8000, pages: { tokens: 100, count: 1279 } },
    ],
    ["one whole context", 8000, {}, { slotCount: 16, capacity: 8000, pages: { tokens: 100, count: 80 } }],
    ["less: what there is, for whoever needs it", 7999, {}, { slotCount: 16, capacity: 7900, pages: { tokens: 100, count: 79 } }],
    ["few pages: no more slots than those", 1100, {}, { slotCount: 11, capacity: 1100, pages: { tokens: 100, count: 11 } }],
    [
      "a wished length and number that share",
      8000,
      { maxSequences: 64, maxModelLength: 5000 },
      { slotCount: 64, capacity: 5000, pages: { tokens: 100, count: 80 } },
    ],
    [
      "a wished length, not of whole pages",
      4000,
      { maxModelLength: 350 },
      { slotCount: 16, capacity: 350, pages: { tokens: 100, count: 40 } },
    ],
    ["as few as four pages", 400, { maxModelLength: 350 }, { slotCount: 4, capacity: 350, pages: { tokens: 100, count: 4 } }],
    [
      "no more memory than the slots can use",
      3200,
      { maxSequences: 2, maxModelLength: 1601 },
      { slotCount: 2, capacity: 1601, pages: { tokens: 100, count: 32 } },
    ],
  ] as const)("%s", (_, budget, wishes, expected) => {
    expect(shared(budget, wishes)).toMatchObject(expected);
    expect(shared(budget, wishes).pages).toEqual("pages" in expected ? expected.pages : undefined);
  });

  test.each([
    ["slots no longer than a page", 1590, { maxModelLength: 100 }, { slotCount: 15, capacity: 100 }],
    ["too few pages for four slots", 399, { modelMaxLength: 350 }, { slotCount: 1, capacity: 350 }],
    ["too few pages, though a length is wished,", 399, { maxModelLength: 350 }, { slotCount: 1, capacity: 350 }],
    [
      "a system that gives no more addresses than it has memory",
      32_000,
      { sharing: { ...sharing, canAddress: () => false } },
      { slotCount: 4, capacity: 8000 },
    ],
  ] as const)("%s have their memory for themselves", (_, budget, wishes, expected) => {
    expect(shared(budget, wishes)).toEqual({ ...expected, spareSlotCount: 0, bytes: expected.slotCount * expected.capacity * 100 });
  });

  test("addresses are asked for in whole pages of all slots", () => {
    const asked: number[] = [];
    const canAddress = (tokens: number): boolean => asked.push(tokens) > 0;
    plan(2000, { maxSequences: 3, maxModelLength: 1050, sharing: { ...sharing, canAddress } });
    expect(asked).toEqual([3300]);
  });

  test("slots are no longer than kernels can address, all together", () => {
    const limited = { sharing: { ...sharing, addressableTokens: 50_000 } };
    expect(plan(60_000, limited)).toMatchObject({ slotCount: 16, capacity: 3100 });
    expect(plan(60_000, { ...limited, maxSequences: 8 })).toMatchObject({ slotCount: 8, capacity: 6200 });
    expect(() => plan(60_000, { ...limited, maxModelLength: 8000, maxSequences: 8 })).toThrow(/8 × 8000 tokens needs/);
  });

  test("wishes beyond the memory are refused with the numbers", () => {
    expect(() => shared(4000, { maxModelLength: 4001 })).toThrow(/1 × 4001 tokens needs/);
    expect(() => shared(4000, { maxSequences: 41, maxModelLength: 200 })).toThrow(/41 × 200 tokens needs/);
    expect(() => shared(1000)).toThrow(/1 × 1024 tokens needs/);
  });

  test("a plan never exceeds the budget or the model, has room for one whole sequence and a page for each, and keeps every wish", () => {
    const wish = (max: number) => option(integer({ min: 1, max }), { nil: undefined });
    assert(
      property(integer({ min: 0, max: 100_000 }), wish(64), wish(8000), integer({ min: 0, max: 80 }), (budget, ...rest) => {
        const [maxSequences, maxModelLength, spareSlots] = rest;
        let planned;
        try {
          planned = shared(budget, { maxSequences, maxModelLength, spareSlots });
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
          return;
        }
        const { slotCount, spareSlotCount, capacity, bytes } = planned;
        const { pages = { tokens: capacity, count: slotCount + spareSlotCount } } = planned;
        expect(spareSlotCount).toBeLessThanOrEqual(spareSlots);
        expect(bytes).toBe(pages.count * pages.tokens * 100);
        expect(bytes).toBeLessThanOrEqual(budget * 100);
        expect(pages.count).toBeGreaterThanOrEqual(Math.max(slotCount + spareSlotCount, Math.ceil(capacity / pages.tokens)));
        expect(capacity).toBeGreaterThanOrEqual(maxModelLength ?? 1024);
        expect(capacity).toBeLessThanOrEqual(maxModelLength ?? 8000);
        expect(slotCount).toBe(maxSequences ?? slotCount);
      }),
    );
  });
});
