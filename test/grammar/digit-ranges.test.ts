import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Expression } from "../../src/grammar/expression.ts";
import { integersBetween, type NumberBounds, numbersBetween } from "../../src/grammar/digit-ranges.ts";

/** The same texts as a regular expression, which is easy to test numbers against. */
function toPattern(expression: Expression): string {
  switch (expression.type) {
    case "text":
      return expression.text.replace(/[.-]/g, "\\$&");
    case "characters":
      return `[${expression.ranges.map(([first, last]) => `${String.fromCodePoint(first)}-${String.fromCodePoint(last)}`).join("")}]`;
    case "sequence":
      return expression.items.map(toPattern).join("");
    case "choice":
      return expression.options.length === 0 ? "[]" : `(?:${expression.options.map(toPattern).join("|")})`;
    case "repeat":
      return `(?:${toPattern(expression.item)}){${expression.min},${expression.max}}`;
    default:
      throw new Error(expression.type);
  }
}

const bounds = (minimum?: number, maximum?: number): NumberBounds => ({
  minimum,
  maximum,
  exclusiveMinimum: undefined,
  exclusiveMaximum: undefined,
});
const decimal = fc
  .tuple(fc.integer({ min: -3_000_000, max: 3_000_000 }), fc.nat(6))
  .map(([digits, shift]) => Number(`${digits}e-${shift}`));

describe("numbers between bounds", () => {
  it("are all whole numbers between whole bounds, and no others", () => {
    fc.assert(
      fc.property(fc.integer({ min: -2_000, max: 2_000 }), fc.nat(500), fc.integer({ min: -2_600, max: 2_600 }), (low, width, value) => {
        const pattern = new RegExp(`^${toPattern(integersBetween(bounds(low, low + width)))}$`);
        expect(pattern.test(String(value))).toBe(value >= low && value <= low + width);
      }),
    );
  });

  it("are within fractional bounds whatever decimals they have, and none is left out for its decimals", () => {
    fc.assert(
      fc.property(decimal, decimal, decimal, (a, b, value) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const pattern = new RegExp(`^${toPattern(numbersBetween(bounds(low, high))!)}$`);
        const text = value.toFixed(6).replace(/0+$/, "").replace(/\.$/, "");
        fc.pre(text !== "-0");
        if (pattern.test(text)) expect(value >= low && value <= high).toBe(true);
        else if (Number(low.toFixed(0)) === low && Number(high.toFixed(0)) === high)
          expect(value < low || value > high || (value < 0 && value > -0.1)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("exclude exclusive bounds", () => {
    const open = { minimum: undefined, maximum: undefined, exclusiveMinimum: 0.5, exclusiveMaximum: 2 };
    const pattern = new RegExp(`^${toPattern(numbersBetween(open)!)}$`);

    expect(["0.6", "1", "1.99999", "1.5"].every((text) => pattern.test(text))).toBe(true);
    expect(["0.5", "0.50", "2", "2.0", "0.4", "-1"].some((text) => pattern.test(text))).toBe(false);
  });

  it("cannot be told for bounds of too many decimals", () => {
    expect(numbersBetween(bounds(0.12345678))).toBeUndefined();
  });

  it("have no more than 15 digits, beyond which doubles repeat", () => {
    const pattern = new RegExp(`^${toPattern(integersBetween(bounds(1)))}$`);

    expect(pattern.test("999999999999999")).toBe(true);
    expect(pattern.test("1000000000000000")).toBe(false);
  });
});
