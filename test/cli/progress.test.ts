import { expect, test } from "vitest";
import { formatDuration, RecentRate } from "../../src/cli/progress.ts";

test("the rate is that of the last seconds, and starts anew after work was thrown away", () => {
  const rate = new RecentRate();
  expect(rate.perSecond).toBeUndefined();

  for (let second = 0; second <= 60; second++) rate.add(second < 30 ? second * 1000 : 29_000 + (second - 29) * 10, second * 1000);
  expect(rate.perSecond).toBeCloseTo(10);

  rate.add(0, 61_000);
  rate.add(500, 62_000);
  expect(rate.perSecond).toBe(500);
});

test.each([
  [0.2, "1 s"],
  [59, "59 s"],
  [90, "2 min"],
  [3599, "1 h 0 min"],
  [4020, "1 h 7 min"],
])("%d seconds are shown as %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
