import { describe, expect, test } from "vitest";
import { gatedImportance, normedImportance } from "../../src/convert/quantize/importance.ts";

describe("importance of columns", () => {
  test("behind a norm grows with the square of the norm's weight, whatever its sign", () => {
    const importance = normedImportance(Float32Array.of(1, -2, 3));

    const floor = (0.01 * (1 + 4 + 9)) / 3;
    expect([...importance]).toEqual([1 + floor, 4 + floor, 9 + floor]);
  });

  test("is never zero while another column's is not", () => {
    expect(normedImportance(Float32Array.of(0, 1))[0]).toBeGreaterThan(0);
  });

  test("of down's columns is the product of how strongly gate and up answer to their input", () => {
    const gate = Float32Array.of(1, 0, 0, 3); // two rows of two columns
    const up = Float32Array.of(2, 0, 0, 1);

    const importance = gatedImportance(gate, up, Float64Array.of(1, 4), 2);

    const [first, second] = [1 * 4, 9 * 4 * (1 * 4)];
    const floor = (0.01 * (first + second)) / 2;
    expect([...importance]).toEqual([first + floor, second + floor]);
  });

  test("of padded columns is the floor", () => {
    const importance = gatedImportance(Float32Array.of(1, 1), Float32Array.of(1, 1), Float64Array.of(1, 1), 32);

    expect(importance).toHaveLength(32);
    expect(new Set(importance.subarray(1)).size).toBe(1);
  });
});
