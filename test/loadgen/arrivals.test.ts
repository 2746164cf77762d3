import { describe, expect, test } from "vitest";
import { poissonArrivals } from "../../src/loadgen/arrivals.ts";
import { SeededRandom } from "../../src/loadgen/seeded-random.ts";

describe("Poisson arrivals", () => {
  const arrivals = poissonArrivals(20_001, 50, 1);
  const gaps = arrivals.slice(1).map((time, i) => time - arrivals[i]!);

  test("begin at once, never go back and end when the rate says", () => {
    expect(arrivals[0]).toBe(0);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0);
    expect(arrivals.at(-1)).toBeCloseTo(400_000, 6);
  });

  test("have gaps as an exponential distribution has them", () => {
    const share = (ms: number) => gaps.filter((gap) => gap > ms).length / gaps.length;

    // P(gap > t) = exp(-t · rate); 20,000 draws lie within 0.015 of it (over 4 standard deviations)
    for (const ms of [5, 20, 40, 80]) expect(Math.abs(share(ms) - Math.exp(-ms / 20))).toBeLessThan(0.015);
  });

  test("are fixed by the seed", () => {
    expect(poissonArrivals(9, 3, 7)).toEqual(poissonArrivals(9, 3, 7));
    expect(poissonArrivals(9, 3, 7)).not.toEqual(poissonArrivals(9, 3, 8));
  });

  test("of one request, or of none, are no trouble", () => {
    expect(poissonArrivals(1, 3, 7)).toEqual([0]);
    expect(poissonArrivals(0, 3, 7)).toEqual([]);
  });
});

describe("seeded random numbers", () => {
  test("are spread evenly and differ by stream", () => {
    const counts = Array<number>(10).fill(0);
    for (let stream = 0; stream < 100; stream++) {
      const random = new SeededRandom(3, stream);
      for (let i = 0; i < 1000; i++) counts[random.below(10)]!++;
    }

    // 100,000 draws into 10 bins: 10,000 each, standard deviation 95
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
    expect(new SeededRandom(3, 0).unit()).not.toBe(new SeededRandom(3, 1).unit());
    expect(new SeededRandom(3, 0).unit()).not.toBe(new SeededRandom(4, 0).unit());
  });
});
