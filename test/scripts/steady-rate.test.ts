import { expect, it } from "vitest";
import { steadyTokensPerSecond } from "../../scripts/bench/steady-rate.ts";

it("counts the steps in which every stream gets a token", () => {
  // Prompts until 30 ms, then three steps of 5 ms for both, then the second alone, faster.
  expect(
    steadyTokensPerSecond([
      [10, 20, 30, 35, 40, 45],
      [30, 35, 40, 45, 47, 49],
    ]),
  ).toBeCloseTo(400);
});

it("is one stream's speed after its first token", () => {
  expect(steadyTokensPerSecond([[100, 104, 108]])).toBeCloseTo(250);
});

it("is unknown where no two steps had every stream", () => {
  expect(
    steadyTokensPerSecond([
      [1, 2, 3],
      [4, 5, 6],
    ]),
  ).toBeUndefined();
  expect(
    steadyTokensPerSecond([
      [1, 2, 3],
      [3, 4, 5],
    ]),
  ).toBeUndefined();
  expect(steadyTokensPerSecond([[1]])).toBeUndefined();
});
