// How many pixels the pictures of one request may have together, counted before each is decoded, on whichever thread that is.

/** int64 [1] in shared memory: pixels that are left; below 0 when they were too many. */
export type PixelBudget = BigInt64Array<SharedArrayBuffer>;

/**
 * 16 photos of 12 megapixels. A worker thread takes up to 2 s for 40 megapixels (AVIF; measured on one of two busy cores), so one request
 * can keep a thread for some 10 s at most.
 */
export const maxRequestPixels = 200_000_000;

export function createPixelBudget(pixels = maxRequestPixels): PixelBudget {
  const budget = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
  budget[0] = BigInt(pixels);
  return budget;
}

/** False when fewer are left; then no later picture gets any either. */
export function takePixels(budget: PixelBudget, pixels: number): boolean {
  const wanted = BigInt(pixels);
  return Atomics.sub(budget, 0, wanted) >= wanted;
}
