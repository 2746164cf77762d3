// When requests are sent: as a Poisson process of a given rate.

import { SeededRandom } from "./seeded-random.ts";

/**
 * Milliseconds after the start at which each of `count` requests is sent; the first at 0. The gaps are drawn as they come in a Poisson
 * process, then scaled so that the last request leaves when the rate says: the load is then the one that was asked for, not one near it
 * (vLLM's benchmark does the same).
 */
export function poissonArrivals(count: number, ratePerSecond: number, seed: number): number[] {
  const random = new SeededRandom(seed, -1); // requests have the streams from 0
  const arrivals = [0];
  while (arrivals.length < count) arrivals.push(arrivals.at(-1)! + random.exponential());
  const wantedMs = ((count - 1) * 1000) / ratePerSecond;
  const scale = count > 1 ? wantedMs / arrivals.at(-1)! : 0;
  return arrivals.slice(0, count).map((time) => time * scale);
}
