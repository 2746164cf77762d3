import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EngineError } from "../../src/core/errors.ts";
import { greedy, type SamplingParams } from "../../src/core/sampling.ts";
import { createLogitChanges } from "../../src/engine/logit-changes.ts";
import { drawFromRow, drawToken, randomUnit } from "../../src/model/draw-token.ts";
import type { MaskedDraw } from "../../src/model/permission.ts";
import { inverseTemperature, type SamplerRow } from "../../src/model/row-view.ts";

const plain: SamplingParams = { ...greedy, temperature: 1 };

type TestDraw = MaskedDraw & { readonly prompt: readonly number[]; readonly answer: readonly number[] };

function makeDraw(params: Partial<SamplingParams>, { drawIndex = 0, prompt = [0], answer = [] as number[] } = {}): TestDraw {
  const all = { ...plain, ...params };
  const changes = createLogitChanges(all, Int32Array.from(prompt));
  for (const tokenId of answer) changes?.add(tokenId);
  return { params: all, drawIndex, changes, prompt, answer };
}

function maskOf(tokenIds: readonly number[], vocabSize: number): Uint32Array {
  const mask = new Uint32Array(Math.ceil(vocabSize / 32));
  for (const id of tokenIds) mask[id >>> 5]! |= 1 << (id & 31);
  if (vocabSize % 32 > 0) mask[mask.length - 1]! |= -1 << (vocabSize % 32); // beyond the vocabulary: no meaning
  return mask;
}

/** What the sampler graph gives, its float32 sum in the worst order included. */
function makeRow(logits: Float32Array, params: SamplingParams, candidateCount: number): SamplerRow & { fetches: number } {
  const scaled = logits.map((logit) => logit * inverseTemperature(params));
  const order = [...scaled.keys()].toSorted((a, b) => scaled[b]! - scaled[a]! || a - b).slice(0, candidateCount);
  const best = scaled[order[0]!]!;
  const row = {
    values: Float32Array.from(order, (id) => scaled[id]!),
    tokenIds: BigInt64Array.from(order, BigInt),
    logSumExp: Math.fround(best + Math.log(scaled.reduce((sum, logit) => Math.fround(sum + Math.exp(logit - best)), 0))),
    sumLanes: 1,
    vocabSize: logits.length,
    fetches: 0,
    fullRow: () => {
      row.fetches++;
      return logits;
    },
  };
  return row;
}

/** The definition, as plainly as it can be written. */
function reference(logits: Float32Array, draw: TestDraw): number {
  const { params, drawIndex, prompt, answer } = draw;
  const factor = inverseTemperature(params);
  const scaled = logits.map((unscaled, id) => {
    const biases = (params.logitBias ?? []).filter(([biasedId]) => biasedId === id).map(([, bias]) => bias);
    let logit = Math.fround(unscaled * factor) + factor * biases.reduce((sum, bias) => sum + bias, 0);
    if ([...prompt, ...answer].includes(id)) logit = logit > 0 ? logit / params.repetitionPenalty : logit * params.repetitionPenalty;
    const count = answer.filter((other) => other === id).length;
    return count > 0 ? logit - factor * (params.presencePenalty + count * params.frequencyPenalty) : logit;
  });
  const order = possibleIds(logits, draw).toSorted((a, b) => scaled[b]! - scaled[a]! || a - b);
  if (params.temperature === 0) return order[0]!;

  const sum = (tokens: { weight: number }[]) => tokens.reduce((sum, { weight }) => sum + weight, 0);
  let tokens = order.map((id) => ({ id, weight: Math.exp(scaled[id]! - scaled[order[0]!]!) }));
  if (params.topK > 0) tokens = tokens.slice(0, params.topK);
  if (params.topP < 1) {
    const target = params.topP * sum(tokens);
    const count = tokens.findIndex((_, i) => sum(tokens.slice(0, i + 1)) >= target) + 1;
    tokens = tokens.slice(0, count);
  }
  tokens = tokens.filter(({ weight }) => weight >= params.minP);
  const target = randomUnit(params.seed, drawIndex) * sum(tokens);
  return tokens.find((_, i) => sum(tokens.slice(0, i + 1)) > target)!.id;
}

function possibleIds(logits: Float32Array, { allowed, bannedIds = [] }: MaskedDraw): number[] {
  const allowedIds = [...logits.keys()].filter((id) => !allowed || Math.floor(allowed[Math.floor(id / 32)]! / 2 ** (id % 32)) % 2 === 1);
  const others = allowedIds.filter((id) => !bannedIds.includes(id));
  return others.length > 0 ? others : allowedIds;
}

const logitRows = fc.oneof(
  fc.array(fc.float({ min: -12, max: 12, noNaN: true }), { minLength: 1, maxLength: 60 }),
  fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 60 }), // many ties
  fc.array(fc.oneof(fc.constant(-Infinity), fc.float({ min: -2, max: 2, noNaN: true })), { minLength: 1, maxLength: 20 }),
  fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 1, maxLength: 20 }),
);
const samplings = fc.record({
  temperature: fc.constantFrom(0, 0.05, 0.7, 1, 2),
  topK: fc.constantFrom(0, 0, 1, 3, 10, 100),
  topP: fc.oneof(fc.constantFrom(1, 1, 0.9, 0.5, 0), fc.double({ min: 0, max: 1, noNaN: true })),
  minP: fc.constantFrom(0, 0, 0.01, 0.3, 1),
  seed: fc.maxSafeNat(),
});
const penalties = fc.record({
  repetitionPenalty: fc.constantFrom(1, 1.3, 0.7),
  presencePenalty: fc.constantFrom(0, 0.5, -1),
  frequencyPenalty: fc.constantFrom(0, 0.25),
});

describe("drawing a token", () => {
  test("gives what the definition gives, whatever the number of candidates", () => {
    fc.assert(
      fc.property(logitRows, samplings, fc.nat(20), fc.integer({ min: 1, max: 60 }), (values, params, drawIndex, candidateCount) => {
        const logits = Float32Array.from(values);
        fc.pre(logits.some((logit) => logit > -Infinity));
        const draw = makeDraw(params, { drawIndex });
        const few = drawToken(makeRow(logits, draw.params, candidateCount), draw);
        const all = drawToken(makeRow(logits, draw.params, logits.length), draw);
        expect({ few, all }).toEqual({ few: reference(logits, draw), all: reference(logits, draw) });
      }),
      { numRuns: 3000, seed: 1 },
    );
  });

  test("adds the bias before penalties", () => {
    const biases = fc.array(fc.tuple(fc.nat(19), fc.integer({ min: -20, max: 20 })), { maxLength: 6 });
    const rows = fc.array(fc.float({ min: -6, max: 6, noNaN: true }), { minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(rows, samplings, fc.option(penalties), biases, (values, params, penalty, logitBias) => {
        const logits = Float32Array.from(values);
        const draw = makeDraw({ ...params, ...penalty, logitBias }, { prompt: [1, 2, 3], answer: [3, 4, 4] });
        expect(drawToken(makeRow(logits, draw.params, 5), draw)).toBe(reference(logits, draw));
        expect([...logits]).toEqual(values.map(Math.fround));
      }),
      { numRuns: 1000, seed: 4 },
    );
  });

  test("applies penalties as the definition does", () => {
    const ids = fc.array(fc.nat(19), { minLength: 1, maxLength: 30 });
    const rows = fc.array(fc.float({ min: -6, max: 6, noNaN: true }), { minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(rows, samplings, penalties, ids, ids, (values, params, penalty, prompt, answer) => {
        const logits = Float32Array.from(values);
        const draw = makeDraw({ ...params, ...penalty }, { prompt, answer });
        expect(drawToken(makeRow(logits, draw.params, 5), draw)).toBe(reference(logits, draw));
        expect([...logits]).toEqual(values.map(Math.fround));
      }),
      { numRuns: 1000, seed: 2 },
    );
  });

  test("looks few rows up beside penalties, and draws what the whole row gives", () => {
    const vocabSize = 5000;
    const logits = Float32Array.from({ length: vocabSize }, (_, id) => 6 * gaussian(id));
    const byLogit = [...logits.keys()].toSorted((a, b) => logits[b]! - logits[a]!);
    const said = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? byLogit[i]! : (i * 7) % vocabSize));
    const wishes = [{ presencePenalty: 0.7, frequencyPenalty: 0.3 }, { repetitionPenalty: 1.2 }, { presencePenalty: 1, topP: 0.8 }];
    for (const params of [...wishes, { ...greedy, presencePenalty: 2 }]) {
      const row = makeRow(logits, { ...plain, ...params }, 256);
      for (let drawIndex = 0; drawIndex < 300; drawIndex++) {
        const draw = makeDraw(params, { prompt: said, answer: said, drawIndex });
        expect(drawToken(row, draw)).toBe(drawFromRow(logits, draw));
      }
      expect(row.fetches).toBeLessThan(30);
    }
  });

  test("draws from the tokens that may come as if there were no others", () => {
    const places = fc.array(fc.nat(59), { maxLength: 60 });
    fc.assert(
      fc.property(logitRows, samplings, penalties, fc.option(places), places, fc.integer({ min: 1, max: 60 }), (...drawn) => {
        const [values, params, penalty, allowedPlaces, bannedPlaces, candidateCount] = drawn;
        const logits = Float32Array.from(values);
        const within = (ids: readonly number[]) => ids.map((id) => id % logits.length);
        const draw: TestDraw = {
          ...makeDraw({ ...params, ...(values.length % 3 === 0 && penalty) }),
          ...(allowedPlaces && { allowed: maskOf(within(allowedPlaces), logits.length) }),
          bannedIds: within(bannedPlaces),
        };
        fc.pre(possibleIds(logits, draw).some((id) => logits[id]! > -Infinity));
        fc.pre(draw.allowed !== undefined || possibleIds(logits, draw).length < logits.length || bannedPlaces.length === 0);
        expect(drawToken(makeRow(logits, draw.params, Math.min(candidateCount, logits.length)), draw)).toBe(reference(logits, draw));
      }),
      { numRuns: 3000, seed: 3 },
    );
  });

  test("finds the few tokens that may come among the candidates, without fetching the row", () => {
    const logits = Float32Array.from({ length: 1000 }, (_, id) => gaussian(id));
    const byLogit = [...logits.keys()].toSorted((a, b) => logits[b]! - logits[a]!);
    const allowed = maskOf([byLogit[20]!, byLogit[25]!], logits.length);
    const drawn = new Set<number>();
    for (let drawIndex = 0; drawIndex < 50; drawIndex++) {
      const row = makeRow(logits, plain, 256);
      drawn.add(drawToken(row, { ...makeDraw({}, { drawIndex }), allowed }));
      expect(row.fetches).toBe(0);
    }
    expect(drawn).toEqual(new Set([byLogit[20]!, byLogit[25]!]));
    expect(drawToken(makeRow(logits, greedy, 256), { ...makeDraw(greedy), allowed })).toBe(byLogit[20]);
    expect(drawToken(makeRow(logits, greedy, 256), { ...makeDraw(greedy), bannedIds: byLogit.slice(0, 20) })).toBe(byLogit[20]);
  });

  test("fetches the row for a token that may come but is no candidate", () => {
    const logits = Float32Array.from({ length: 100 }, (_, id) => -id);
    for (const params of [plain, greedy]) {
      const row = makeRow(logits, params, 10);
      expect(drawToken(row, { ...makeDraw({ ...params, topK: 1 }), allowed: maskOf([77, 78], 100) })).toBe(77);
      expect(row.fetches).toBe(1);
    }
  });

  test("looks nothing up for the only token that may come", () => {
    const row = makeRow(Float32Array.of(5, 4, 3, 2, 1), plain, 2);
    expect(drawToken(row, { ...makeDraw({}), allowed: maskOf([4], 5) })).toBe(4);
    expect(row.fetches).toBe(0);
  });

  test("finds what may come in each word of a mask, but for banned tokens, some of which do not exist", () => {
    const logits = Float32Array.from({ length: 128 }, (_, id) => id);
    const best = (draw: Partial<MaskedDraw>): number => drawFromRow(logits, { ...makeDraw(greedy), ...draw });
    const allowed = maskOf([3, 64, 97, 127], 128);
    const drawn = [[], [127], [127, 97], [127, 97, 64, 500]].map((bannedIds) => best({ allowed, bannedIds }));
    expect(drawn).toEqual([127, 97, 64, 3]);
    expect(best({ bannedIds: [126, 128, 500] })).toBe(127);
  });

  test("counts what may come but is no candidate, however far below a forbidden token", () => {
    const logits = Float32Array.of(0, 0, 0, 1e-45, 37.3, 0);
    const draw = { ...makeDraw({ temperature: 0.05 }), allowed: maskOf([0, 1, 3], 6) };
    const drawn = Array.from({ length: 20 }, (_, drawIndex) => drawToken(makeRow(logits, draw.params, 3), { ...draw, drawIndex }));
    expect(new Set(drawn)).toEqual(new Set([0, 1, 3]));
  });

  test("a banned token comes when no other is allowed; without any allowed token there is no draw", () => {
    const row = makeRow(Float32Array.of(3, 2, 1), plain, 2);
    expect(drawToken(row, { ...makeDraw({}), allowed: maskOf([2], 3), bannedIds: [2] })).toBe(2);
    for (const params of [plain, greedy]) {
      const draw = { ...makeDraw(params), allowed: maskOf([], 3) };
      expect(() => drawToken(row, draw)).toThrow(EngineError);
      expect(() => drawFromRow(row.fullRow(), draw)).toThrow(EngineError);
    }
  });

  test.each([-1, 1])("is not led astray by the rounding of a large vocabulary's log-sum-exp (%s)", (direction) => {
    const vocabSize = 20_000;
    const logits = Float32Array.from({ length: vocabSize }, (_, id) => 3 * gaussian(id));
    const params = { ...plain, temperature: 0.5 };
    const row = makeRow(logits, params, 256);
    const roundedSum = row.logSumExp + direction * 0.9 * (vocabSize / 8) * 2 ** -24;
    const scaled = logits
      .map((logit) => logit * 2)
      .toSorted()
      .toReversed();
    const cumulative: number[] = [];
    for (const logit of scaled) cumulative.push((cumulative.at(-1) ?? 0) + Math.exp(logit - scaled[0]!));
    const drawCount = 1500;

    for (let drawIndex = 0; drawIndex < drawCount; drawIndex++) {
      const tokenId = drawToken(Object.assign(row, { logSumExp: roundedSum, sumLanes: 8 }), makeDraw(params, { drawIndex }));
      const rank = cumulative.findIndex((sum) => sum > randomUnit(0, drawIndex) * cumulative.at(-1)!);
      expect(logits[tokenId]! * 2).toBe(scaled[rank]);
    }
    expect(row.fetches).toBeGreaterThan(0);
    expect(row.fetches).toBeLessThan(drawCount / 10);
  });

  test("does not depend on which of equal tokens the device lists", () => {
    const logits = Float32Array.of(1, 1, 1, 1, 2, 1);
    const row = { ...makeRow(logits, plain, 3), tokenIds: [4, 5, 3] };
    for (let drawIndex = 0; drawIndex < 50; drawIndex++) {
      const draw = makeDraw({ topK: 4 }, { drawIndex });
      expect(drawToken(row, draw)).toBe(reference(logits, draw));
    }
  });

  test("follows the probabilities", () => {
    const probabilities = [0.5, 0.25, 0.15, 0.07, 0.03];
    const logits = Float32Array.from(probabilities, Math.log);
    const draws = 20_000;
    const counts = probabilities.map(() => 0);
    for (let drawIndex = 0; drawIndex < draws; drawIndex++) counts[drawToken(makeRow(logits, plain, 3), makeDraw({}, { drawIndex }))]!++;
    const chiSquare = probabilities.reduce((sum, p, i) => sum + (counts[i]! - draws * p) ** 2 / (draws * p), 0);
    expect(chiSquare).toBeLessThan(18.5); // 99.9 % of fair samples, 4 degrees of freedom
  });

  test.each([
    ["top-k keeps the k best", { topK: 2 }, [0, 1]],
    ["top-k breaks a tie by the lower id", { topK: 3 }, [0, 1, 2]],
    ["top-p keeps the token that reaches the mass", { topP: 0.6 }, [0, 1]],
    ["top-p 0 keeps the best", { topP: 0 }, [0]],
    ["top-p counts what top-k left", { topK: 2, topP: 0.6 }, [0]],
    ["min-p is relative to the best", { minP: 0.5 }, [0, 1]],
    ["without limits every token can come", {}, [0, 1, 2, 3]],
  ])("%s", (_, params, possible) => {
    const logits = Float32Array.from([0.4, 0.25, 0.175, 0.175], Math.log);
    const drawn = new Set<number>();
    for (let drawIndex = 0; drawIndex < 200; drawIndex++) {
      drawn.add(drawToken(makeRow(logits, plain, 4), makeDraw(params, { drawIndex })));
    }
    expect([...drawn].toSorted()).toEqual(possible);
  });

  test("at temperature 0 takes the best token, the lowest id among equals, without fetching the row", () => {
    const row = makeRow(Float32Array.of(1, 5, 2, 5, 4), greedy, 3);
    expect(drawToken(row, makeDraw(greedy))).toBe(1);
    expect(row.fetches).toBe(0);
  });

  test("takes −0 and 0 for equals", () => {
    const draw = { ...makeDraw({ topK: 1 }), allowed: maskOf([1, 2], 3) };
    expect(drawFromRow(Float32Array.of(1, -0, 0), draw)).toBe(1);
  });

  test("at temperature 0 fetches the row when all candidates are equal", () => {
    const row = { ...makeRow(Float32Array.of(5, 5, 5, 5), greedy, 2), values: Float32Array.of(5, 5), tokenIds: [3, 2] };
    expect(drawToken(row, makeDraw(greedy))).toBe(0);
  });

  test("a temperature too small for float32 is greedy", () => {
    const params = { ...plain, temperature: 1e-40 };
    expect(inverseTemperature(params)).toBe(1);
    expect(drawToken(makeRow(Float32Array.of(1, 5, 2), params, 2), makeDraw(params))).toBe(1);
  });

  test("of a top-k beyond the candidates, does not take the weight of all tokens for that of the kept ones", () => {
    const logits = Float32Array.from({ length: 40 }, (_, id) => (id < 4 ? 0 : id === 4 ? -1 : -2));
    for (let drawIndex = 0; drawIndex < 100; drawIndex++) {
      const draw = makeDraw({ topK: 20 }, { drawIndex });
      expect(drawToken(makeRow(logits, plain, 5), draw)).toBe(reference(logits, draw));
    }
  });

  test("draws from the candidates alone when top-k is among them", () => {
    const logits = Float32Array.from({ length: 1000 }, (_, id) => gaussian(id));
    for (let drawIndex = 0; drawIndex < 100; drawIndex++) {
      const row = makeRow(logits, plain, 40);
      drawToken(row, makeDraw({ topK: 20, topP: 0.9 }, { drawIndex }));
      expect(row.fetches).toBe(0);
    }
  });
});

describe("broken logits never become a token", () => {
  const row = makeRow(Float32Array.of(1, 2, 3), plain, 2);

  test.each([
    ["NaN", Number.NaN],
    ["infinite", Infinity],
    ["minus infinite", -Infinity],
  ])("a log-sum-exp that is %s", (_, logSumExp) => {
    expect(() => drawToken({ ...row, logSumExp }, makeDraw({}))).toThrow(EngineError);
    expect(() => drawToken({ ...row, logSumExp }, makeDraw(greedy))).toThrow(EngineError);
  });

  test("a log-sum-exp below that of the candidates", () => {
    expect(() => drawToken({ ...row, logSumExp: row.values[0]! - 1 }, makeDraw({}))).toThrow(/less than/);
  });

  test.each([
    ["NaN", Float32Array.of(1, Number.NaN, 0)],
    ["infinite", Float32Array.of(1, Infinity, 0)],
    ["all minus infinite", new Float32Array(3).fill(-Infinity)],
  ])("a row with a logit that is %s, with a penalty on or that of the only token that may come", (_, logits) => {
    for (const temperature of [0, 1]) {
      expect(() => drawFromRow(logits, makeDraw({ temperature, presencePenalty: 1 }))).toThrow(/not finite/);
      expect(() => drawFromRow(logits, { ...makeDraw({ temperature }), allowed: maskOf([1], 3) })).toThrow(/not finite/);
    }
  });
});

describe("random numbers", () => {
  // The outputs for seed 1234567 that implementations of SplitMix64 are commonly checked with.
  test.each([6457827717110365317n, 3203168211198807973n, 9817491932198370423n, 4593380528125082431n, 16408922859458223821n])(
    "are the upper 53 bits of SplitMix64: %s",
    (output) => {
      const outputs = [0, 1, 2, 3, 4].map((drawIndex) => randomUnit(1234567, drawIndex));
      expect(outputs).toContain(Number(output >> 11n) / 2 ** 53);
    },
  );

  test("lie in [0, 1) and differ by seed and counter", () => {
    const units = [0, 1, 2 ** 53 - 1].flatMap((seed) => Array.from({ length: 1000 }, (_, i) => randomUnit(seed, i)));
    expect(Math.min(...units)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...units)).toBeLessThan(1);
    expect(new Set(units).size).toBe(units.length);
  });
});

/** A fixed normal deviate for each index. */
function gaussian(index: number): number {
  return Math.sqrt(-2 * Math.log(1 - randomUnit(99, 2 * index))) * Math.cos(2 * Math.PI * randomUnit(99, 2 * index + 1));
}
