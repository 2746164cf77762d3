import { expect, test } from "vitest";
import { alignColumns, formatCount } from "../../src/cli/table.ts";

test("the first column goes to the left, the others to the right", () => {
  expect(
    alignColumns([
      ["", "one", "two"],
      ["long name", "1", "22222"],
      ["x", "333"],
    ]),
  ).toEqual(["           one    two", "long name    1  22222", "x          333"]);
});

test.each([
  [0, "0"],
  [999, "999"],
  [1000, "1.0 k"],
  [6_742_976, "6.7 M"],
  [29_399_294_336, "29.4 B"],
  [423_526_285_184, "423.5 B"],
])("%i is written %s", (count, text) => {
  expect(formatCount(count)).toBe(text);
});
