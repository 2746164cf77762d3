// The times at which a load's requests are sent: a Poisson process of a given rate.

import { SeededRandom } from "./seeded-random.ts";

/**
 * The time of each of `count` requests, in milliseconds after the start; the first is at 0. Gaps between requests are exponentially
 * distributed, and scaled so that the average rate is exactly the requested one (as in vLLM's benchmark).
 */
export function poissonArrivals(count: number, ratePerSecond: number, seed: number): number[] {
  const random = new SeededRandom(seed, -1); // prompts use the streams from 0 on
  const arrivals = [0];
  while (arrivals.length < count) arrivals.push(arrivals.at(-1)! + random.exponential());
  const wantedMs = ((count - 1) * 1000) / ratePerSecond;
  const scale = count > 1 ? wantedMs / arrivals.at(-1)! : 0;
  return arrivals.slice(0, count).map((time) => time * scale);
}
