import { describe, expect, test } from "vitest";
import { fromBfloat16, fromFloat16, roundToBfloat16, roundToFloat16, toBfloat16, toFloat16 } from "../../src/core/half.ts";

const bits16 = (value: number) => toFloat16(Float32Array.of(value))[0];

describe("float16", () => {
  test.each([
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [Number.POSITIVE_INFINITY, 0x7c00],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [2 ** -25 * 1.0001, 0x0001],
    [1 + 2 ** -11, 0x3c00], // a tie goes to the even mantissa
    [1 + 3 * 2 ** -11, 0x3c02],
    [2 - 2 ** -12, 0x4000], // rounding carries into the exponent
  ])("encodes %d", (value, expected) => {
    expect(bits16(value)).toBe(expected);
  });

  test("every finite pattern survives decoding and encoding", () => {
    const patterns = Uint16Array.from({ length: 1 << 16 }, (_, i) => i).filter((bits) => (bits & 0x7c00) !== 0x7c00);
    expect(toFloat16(fromFloat16(patterns))).toEqual(patterns);
  });

  test("keeps every bit of a bfloat16 weight from 2^-17 to its largest, and is at most 2^-25 off below", () => {
    const patterns = Uint16Array.from({ length: 1 << 15 }, (_, i) => i);
    const weights = fromBfloat16(patterns).filter((value) => value <= 65504);
    const stored = fromFloat16(toFloat16(weights));

    expect(weights.filter((value, i) => value >= 2 ** -17 && stored[i] !== value)).toHaveLength(0);
    expect(weights.filter((value, i) => Math.abs(stored[i]! - value) > 2 ** -25)).toHaveLength(0);
  });

  test("encodes NaN as NaN", () => {
    expect(roundToFloat16(Number.NaN)).toBeNaN();
  });
});

describe("bfloat16", () => {
  test("every pattern but NaN survives decoding and encoding", () => {
    const patterns = Uint16Array.from({ length: 1 << 16 }, (_, i) => i).filter((bits) => (bits & 0x7fff) <= 0x7f80);
    expect(toBfloat16(fromBfloat16(patterns))).toEqual(patterns);
  });

  test.each([
    [1, 0x3f80],
    [1 + 2 ** -8, 0x3f80], // a tie goes to the even mantissa
    [1 + 3 * 2 ** -8, 0x3f82],
    [Number.NEGATIVE_INFINITY, 0xff80],
    [3.4e38, 0x7f80],
  ])("encodes %d", (value, expected) => {
    expect(toBfloat16(Float32Array.of(value))[0]).toBe(expected);
  });

  test("keeps NaN", () => {
    const bits = toBfloat16(Float32Array.of(Number.NaN))[0]!;
    expect((bits & 0x7f80) === 0x7f80 && (bits & 0x7f) !== 0).toBe(true);
  });
});

describe("one number rounded", () => {
  const values = Float32Array.of(0, -0, 1 / 3, -1e-6, 3e-8, -65519, 65520, 1e-40, 3.3e38, Number.NEGATIVE_INFINITY);

  test("is what storing it as float16 makes of it", () => {
    expect(values.map(roundToFloat16)).toEqual(fromFloat16(toFloat16(values)));
  });

  test("is what storing it as bfloat16 makes of it", () => {
    const stored = new Float32Array(Uint32Array.from(toBfloat16(values), (bits) => bits << 16).buffer);

    expect(values.map(roundToBfloat16)).toEqual(stored);
  });
});
