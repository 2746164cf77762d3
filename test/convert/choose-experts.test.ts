import { expect, test } from "vitest";
import { chooseExperts } from "../../src/convert/quantize/choose-experts.ts";

test("experts are chosen by probability and correction bias, best first, of equal ones the first", () => {
  const logits = Float32Array.of(0, 2, 1, 1, /* next token */ 3, 3, 3, 3);

  expect([...chooseExperts(logits, new Float32Array(4), 2)]).toEqual([1, 2, 0, 1]);
  // Probabilities of the second token are 0.25 each; of the first 0.07, 0.53, 0.2, 0.2.
  expect([...chooseExperts(logits, Float32Array.of(0.2, 0, 0, 0.1), 2)]).toEqual([1, 3, 0, 3]);
});

test("large logits do not overflow", () => {
  expect([...chooseExperts(Float32Array.of(-1e4, 500, 900), new Float32Array(3), 3)]).toEqual([2, 1, 0]);
});
