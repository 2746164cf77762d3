import { expect, test } from "vitest";
import { rangeMargin, toScales } from "../../src/model/kv-scales.ts";

test("127 steps reach beyond the largest value of any prompt, by the margin", () => {
  const [first, second] = toScales([Float32Array.of(1, 2.54), Float32Array.of(12.7, 0)]);

  expect(127 * first!).toBeCloseTo(12.7 * rangeMargin, 5);
  expect(127 * second!).toBeCloseTo(2.54 * rangeMargin, 5);
});

test("a channel that was always zero has a scale all the same", () => {
  expect(toScales([Float32Array.of(0)])[0]).toBeGreaterThan(0);
});
