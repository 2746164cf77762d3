// Orders tokens by their logits: best first, the lower id among equals.

export type RankedTokens = {
  /** [n] */
  readonly tokenIds: Int32Array;
  /** [n], descending */
  readonly logits: Float32Array;
};

/** Ids below this fit in a sort key beside a float32: 32 + 21 = 53 bits. */
const idRange = 2 ** 21;

/**
 * Ranks the tokens of a row [vocab] whose logits are at least `floor`. A comparison function would take ten times as long for a
 * whole vocabulary, so tokens are sorted as plain numbers: the float's bits, turned so that they sort like the float, above
 * the id.
 */
export function rankTokens(logits: Float32Array, floor: number): RankedTokens {
  const bits = new Uint32Array(logits.buffer, logits.byteOffset, logits.length);
  let most = 0;
  for (let id = 0; id < logits.length; id++) if (logits[id]! >= floor) most++;
  const keys = new Float64Array(most);
  let count = 0;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! >= floor) keys[count++] = (2 ** 32 - 1 - sortableBits(bits[id]!)) * idRange + id;
  }
  const sorted = keys.toSorted();
  const tokenIds = new Int32Array(count);
  const ranked = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const id = sorted[i]! % idRange;
    tokenIds[i] = id;
    ranked[i] = logits[id]!;
  }
  return { tokenIds, logits: ranked };
}

/** Unsigned integers in the order of the floats: negative ones upside down, below the others. −0 becomes 0. */
function sortableBits(bits: number): number {
  const isNegative = bits > 0x80000000;
  return isNegative ? ~bits >>> 0 : (bits | 0x80000000) >>> 0;
}
