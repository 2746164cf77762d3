// Symmetric blockwise quantization: each run of 32 weights of a row shares one scale, value = scale · (q − middle).

import { assert } from "../../core/errors.ts";

export const blockLength = 32;

export type QuantizedRows = {
  /** [rows, blocks · 32 · bits / 8]; with 4 bits the even column is the low nibble */
  readonly data: Uint8Array;
  /** [rows, blocks] */
  readonly scales: Float32Array;
};

/**
 * Quantizes values [rows, columns]; a last block that is not full is padded with zeros. `roundScale` is what storing a scale
 * does to it, so that codes are chosen for the scale that will be used.
 */
export function quantizeBlockwise(
  values: Float32Array,
  columns: number,
  bits: 4 | 8,
  roundScale: (scale: number) => number = Math.fround,
): QuantizedRows {
  const rows = values.length / columns;
  assert(Number.isInteger(rows), `${values.length} values are not rows of ${columns}`);
  const blockCount = Math.ceil(columns / blockLength);
  const data = new Uint8Array((rows * blockCount * blockLength * bits) / 8);
  const scales = new Float32Array(rows * blockCount);
  const block = new Float32Array(blockLength);
  const codes = new Int8Array(blockLength);
  for (let row = 0; row < rows; row++) {
    for (let b = 0; b < blockCount; b++) {
      const start = row * columns + b * blockLength;
      const end = Math.min(start + blockLength, (row + 1) * columns);
      block.fill(0);
      block.set(values.subarray(start, end));
      const index = row * blockCount + b;
      scales[index] = bits === 4 ? quantizeBlock4(block, codes, roundScale) : quantizeBlock8(block, codes, roundScale);
      if (bits === 4) packNibbles(codes, data, (index * blockLength) / 2);
      else for (let i = 0; i < blockLength; i++) data[index * blockLength + i] = codes[i]! + 128;
    }
  }
  return { data, scales };
}

function quantizeBlock8(block: Float32Array, codes: Int8Array, roundScale: (scale: number) => number): number {
  let largest = 0;
  for (let i = 0; i < blockLength; i++) largest = Math.max(largest, Math.abs(block[i]!));
  const scale = roundScale(largest / 127);
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < blockLength; i++) codes[i] = Math.max(-127, Math.min(127, Math.round(block[i]! * inverse)));
  return scale;
}

/**
 * Int4 has one code more on the negative side, so the largest weight goes to −8 whatever its sign (a negative scale is fine);
 * a few other ranges are tried, which may clip that weight but serve the other 31 better. For codes q the best scale is
 * Σ w·q / Σ q², and the squared error it leaves is Σ w² − (Σ w·q)² / Σ q²: the candidate with the largest last term wins.
 */
function quantizeBlock4(block: Float32Array, codes: Int8Array, roundScale: (scale: number) => number): number {
  let extreme = 0;
  for (let i = 0; i < blockLength; i++) if (Math.abs(block[i]!) > Math.abs(extreme)) extreme = block[i]!;
  if (extreme === 0) {
    codes.fill(0);
    return 0;
  }
  let scale = 0;
  let bestGain = -1;
  for (const range of int4Ranges) {
    const inverse = range / extreme;
    let product = 0;
    let square = 0;
    for (let i = 0; i < blockLength; i++) {
      const code = nearestCode4(block[i]! * inverse);
      product += block[i]! * code;
      square += code * code;
    }
    const gain = (product * product) / square;
    if (gain > bestGain) {
      bestGain = gain;
      scale = product / square;
    }
  }
  const rounded = roundScale(scale);
  // A scale that rounds to zero or overflows belongs to weights that the format cannot hold anyway.
  const inverse = rounded === 0 ? 0 : 1 / rounded;
  for (let i = 0; i < blockLength; i++) codes[i] = nearestCode4(block[i]! * inverse);
  return rounded;
}

/** Codes that the block's extreme weight would get if the range were open. */
const int4Ranges = [-8, -7.4, -7, 7, -8.8, -9.6];

/** Shifted to be positive, so that dropping the fraction rounds to nearest. */
function nearestCode4(value: number): number {
  const shifted = (value + 8.5) | 0;
  return (shifted < 0 ? 0 : shifted > 15 ? 15 : shifted) - 8;
}

function packNibbles(codes: Int8Array, data: Uint8Array, offset: number): void {
  for (let i = 0; i < blockLength; i += 2) data[offset + i / 2] = (codes[i]! + 8) | ((codes[i + 1]! + 8) << 4);
}

/** The weights that the quantized form stands for: [rows, columns]. */
export function dequantizeBlockwise({ data, scales }: QuantizedRows, columns: number, bits: 4 | 8): Float32Array {
  const blockCount = Math.ceil(columns / blockLength);
  const rows = scales.length / blockCount;
  const out = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const index = row * blockCount * blockLength + column;
      const byte = data[bits === 4 ? index >> 1 : index]!;
      const code = bits === 8 ? byte - 128 : ((index & 1) === 0 ? byte & 15 : byte >> 4) - 8;
      out[row * columns + column] = code * scales[row * blockCount + Math.floor(column / blockLength)]!;
    }
  }
  return out;
}
