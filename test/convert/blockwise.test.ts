import { describe, expect, test } from "vitest";
import { roundToFloat16 } from "../../src/core/half.ts";
import { bestScale4, dequantizeBlockwise, quantizeBlockwise, type QuantizeOptions } from "../../src/convert/quantize/blockwise.ts";
import { relativeError } from "../../scripts/relative-error.ts";

/** Sum of uniform numbers, about normal; the same ones every time. */
function noise(count: number, seed = 1): Float32Array {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  return Float32Array.from({ length: count }, () => next() + next() + next() + next());
}

function roundTrip(values: Float32Array, columns: number, bits: 4 | 8): Float32Array {
  return dequantizeBlockwise(quantizeBlockwise(values, columns, bits), columns, bits);
}

describe("quantizeBlockwise", () => {
  test.each([
    [8, 0.006],
    [4, 0.078], // round-to-nearest with scale max/7 gives 0.092 on the same numbers
  ] as const)("with %i bits keeps normal weights within a relative error of %d", (bits, limit) => {
    const values = noise(64 * 256);

    expect(relativeError(roundTrip(values, 256, bits), values)).toBeLessThan(limit);
  });

  test.each([4, 8] as const)("represents zero exactly with %i bits", (bits) => {
    const values = noise(64);
    values.fill(0, 0, 32);
    for (let i = 32; i < 64; i += 2) values[i] = 0;

    const back = roundTrip(values, 64, bits);

    expect([...back].filter((_, i) => values[i] === 0).every((value) => value === 0)).toBe(true);
  });

  test("with 4 bits reproduces weights that lie on the grid of −8 … 7", () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => 0.25 * ((i % 16) - 8));

    expect(roundTrip(values, 32, 4)).toEqual(values);
  });

  test("puts the even column into the low nibble and the zero point at 8", () => {
    const values = new Float32Array(32);
    values[0] = -8;
    values[1] = 7;

    const { data, scales } = quantizeBlockwise(values, 32, 4);

    expect([data[0]! & 15, data[0]! >> 4, data[1]]).toEqual([0, 15, 0x88]);
    expect(scales[0]).toBeCloseTo(1);
  });

  test("pads the last block of a row with zeros", () => {
    const { data, scales } = quantizeBlockwise(
      Float32Array.from({ length: 2 * 40 }, (_, i) => i + 1),
      40,
      8,
    );

    expect([data.length, scales.length]).toEqual([2 * 64, 4]);
    expect(data.subarray(40, 64).every((code) => code === 128)).toBe(true);
  });

  test("chooses codes for the scale as it will be stored", () => {
    const values = noise(32, 7);
    const { scales } = quantizeBlockwise(values, 32, 4, { roundScale: roundToFloat16 });

    expect(scales[0]).toBe(roundToFloat16(scales[0]!));
  });

  test.each([
    [4, -8, 7],
    [8, -127, 127],
  ] as const)("with %i bits weights beyond the stored scale's reach become the end of the range on their side", (bits, lowest, highest) => {
    const values = noise(256);
    const rows = quantizeBlockwise(values, 32, bits, { roundScale: (scale) => scale / 16 });

    dequantizeBlockwise(rows, 32, bits).forEach((value, i) => {
      const scale = rows.scales[i >> 5]!;
      const code = Math.min(highest, Math.max(lowest, values[i]! / scale));
      expect(Math.abs(value / scale - code)).toBeLessThan(0.51);
    });
  });

  test("by the plain rule makes the largest weight ±7", () => {
    const values = noise(32);
    const { scales } = quantizeBlockwise(values, 32, 4, { rule: "plain" });

    expect(scales[0]).toBeCloseTo(Math.max(...values.map(Math.abs)) / 7, 6);
  });

  test("leaves a smaller error than the plain rule", () => {
    const values = noise(64 * 256);
    const error = (options: QuantizeOptions) =>
      relativeError(dequantizeBlockwise(quantizeBlockwise(values, 256, 4, options), 256, 4), values);

    expect(error({})).toBeLessThan(0.9 * error({ rule: "plain" }));
  });

  test("searches four ranges, each with its best scale, for the least weighted error", () => {
    const [values, strengths] = [noise(32 * 200, 3), noise(32 * 200, 4)];
    const chosen = new Set<number>();
    for (let start = 0; start < values.length; start += 32) {
      const block = Float64Array.from(values.subarray(start, start + 32));
      const weights = Float64Array.from(strengths.subarray(start, start + 32), (strength) => 0.1 + strength ** 2);
      const sum = (term: (value: number, i: number) => number) =>
        block.reduce((total, value, i) => total + weights[i]! * term(value, i), 0);
      const extreme = block.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));

      const candidates = [7, 7.7, 8.4, 9.1].map((range) => {
        const codes = block.map((value) => Math.min(7, Math.max(-8, Math.round((-range * value) / extreme))));
        const scale = sum((value, i) => value * codes[i]!) / sum((_, i) => codes[i]! ** 2);
        return { range, scale, error: sum((value, i) => (value - scale * codes[i]!) ** 2) };
      });
      const best = candidates.reduce((a, b) => (b.error < a.error ? b : a));

      expect(bestScale4(block, 0, weights, extreme)).toBeCloseTo(best.scale, 9);
      chosen.add(best.range);
    }
    expect(chosen.size).toBe(4);
  });

  test("refuses values that are not whole rows", () => {
    expect(() => quantizeBlockwise(new Float32Array(33), 32, 4)).toThrow("33 values are not rows of 32");
  });
});
