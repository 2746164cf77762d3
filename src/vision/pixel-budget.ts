// Bounds the pixels of all pictures of one request. They are counted before each picture is decoded, across threads.

/** int64 [1]: the pixels that are left, in memory that all threads share. Negative once there were too many. */
export type PixelBudget = BigInt64Array;

/**
 * 16 photos of 12 megapixels. A worker thread takes up to 2 s for 40 megapixels (AVIF, on one of two busy cores), so one request can occupy a thread
 * for about 10 s at most.
 */
export const maxRequestPixels = 200_000_000;

export function createPixelBudget(pixels = maxRequestPixels): PixelBudget {
  const budget = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
  budget[0] = BigInt(pixels);
  return budget;
}

/** False when fewer are left. Then all later calls fail too. */
export function takePixels(budget: PixelBudget, pixels: number): boolean {
  const wanted = BigInt(pixels);
  return Atomics.sub(budget, 0, wanted) >= wanted;
}
