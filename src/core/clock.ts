// Time that threads can compare.

/** Milliseconds of the machine's monotonic clock: the same in all threads, where `performance.now()` counts from each thread's start. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
