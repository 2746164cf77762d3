// Symmetric blockwise quantization: each run of 32 weights of a row shares one scale, value = scale · (q − middle).

import { assert } from "../../core/errors.ts";

export const blockLength = 32;

export type QuantizedRows = {
  /** [rows, blocks · 32 · bits / 8]; with 4 bits the even column is the low nibble */
  readonly data: Uint8Array;
  /** [rows, blocks] */
  readonly scales: Float32Array;
};

/** How int4 scales are found. "plain" (the largest weight becomes ±7) is what ours is measured against. */
export type ScaleRule = "searched" | "plain";

/** What storing a scale does to it, so that codes are chosen for the scale that will be used. */
export type RoundScale = (scale: number) => number;

export type QuantizeOptions = {
  /** To float32 unless told. */
  readonly roundScale?: RoundScale;
  readonly rule?: ScaleRule;
};

/** The block in work, in double precision: sums over it lose nothing. */
const block = new Float64Array(blockLength);
const allAlike = new Float64Array(blockLength).fill(1);

/** Quantizes values [rows, columns]; a last block that is not full is padded with zeros. */
export function quantizeBlockwise(
  values: Float32Array,
  columns: number,
  bits: 4 | 8,
  { roundScale = Math.fround, rule = "searched" }: QuantizeOptions = {},
): QuantizedRows {
  const rows = values.length / columns;
  assert(Number.isInteger(rows), `${values.length} values are not rows of ${columns}`);
  const blockCount = Math.ceil(columns / blockLength);
  const data = new Uint8Array((rows * blockCount * blockLength * bits) / 8);
  const scales = new Float32Array(rows * blockCount);
  let index = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column += blockLength) {
      const length = Math.min(blockLength, columns - column);
      const extreme = loadBlock(values, row * columns + column, length);
      const isSearched = bits === 4 && rule === "searched";
      const scale = roundScale(isSearched ? bestScale4(block, 0, allAlike, extreme) : Math.abs(extreme) / (bits === 4 ? 7 : 127));
      // A scale that rounds to zero belongs to weights that the format cannot hold.
      const inverse = scale === 0 ? 0 : 1 / scale;
      if (bits === 4) writeCodes4(data, (index * blockLength) / 2, inverse);
      else writeCodes8(data, index * blockLength, inverse);
      scales[index++] = scale;
    }
  }
  return { data, scales };
}

/** Fills the block and returns its number of largest magnitude. */
function loadBlock(values: Float32Array, start: number, length: number): number {
  let extreme = 0;
  let largest = 0;
  for (let i = 0; i < length; i++) {
    const value = values[start + i]!;
    const magnitude = Math.abs(value);
    block[i] = value;
    if (magnitude > largest) {
      largest = magnitude;
      extreme = value;
    }
  }
  for (let i = length; i < blockLength; i++) block[i] = 0;
  return extreme;
}

/** Adding and subtracting it rounds a double to a whole number. */
const rounder = 1.5 * 2 ** 52;

/**
 * The scale of the 32 numbers from values[start] on, `extreme` the one of largest magnitude.
 * Int4 has one code more on the negative side, so the largest weight goes there whatever its sign (a negative scale is fine). Four
 * ranges are tried: −7, −7.7, −8.4 and −9.1 are the codes that this weight would get if codes had no ends. The wider ones clip it
 * but serve the other 31 better. For codes q and weights h of the squared errors the best scale is Σ h·w·q / Σ h·q², and
 * the error it leaves is Σ h·w² − (Σ h·w·q)² / Σ h·q²: the largest last term wins. All four are summed in one loop, because one alone would spend its time
 * waiting for its own additions.
 */
export function bestScale4(values: Float64Array, start: number, weights: Float64Array, extreme: number): number {
  if (extreme === 0) return 0;
  const [inverseA, inverseB, inverseC, inverseD] = [-7 / extreme, -7.7 / extreme, -8.4 / extreme, -9.1 / extreme];
  let [productA, productB, productC, productD] = [0, 0, 0, 0];
  let [squareA, squareB, squareC, squareD] = [0, 0, 0, 0];
  for (let i = 0; i < blockLength; i++) {
    const value = values[start + i]!;
    const h = weights[i]!;
    const hw = h * value;
    const a = value * inverseA + rounder - rounder;
    let b = value * inverseB + rounder - rounder;
    let c = value * inverseC + rounder - rounder;
    let d = value * inverseD + rounder - rounder;
    if (b > 7) b = 7;
    if (c > 7) c = 7;
    if (d > 7) d = 7;
    else if (d < -8) d = -8;
    productA += hw * a;
    productB += hw * b;
    productC += hw * c;
    productD += hw * d;
    squareA += h * a * a;
    squareB += h * b * b;
    squareC += h * c * c;
    squareD += h * d * d;
  }
  let [product, square] = [productA, squareA];
  // p² / s of one against the other, without the divisions
  if (productB * productB * square > product * product * squareB) [product, square] = [productB, squareB];
  if (productC * productC * square > product * product * squareC) [product, square] = [productC, squareC];
  if (productD * productD * square > product * product * squareD) [product, square] = [productD, squareD];
  return product / square;
}

/** Codes are shifted to be positive, so that dropping the fraction rounds to nearest. */
function writeCodes4(data: Uint8Array, offset: number, inverse: number): void {
  for (let i = 0; i < blockLength; i += 2) {
    const low = (block[i]! * inverse + 8.5) | 0;
    const high = (block[i + 1]! * inverse + 8.5) | 0;
    data[offset + (i >> 1)] = clamp(low, 0, 15) | (clamp(high, 0, 15) << 4);
  }
}

function writeCodes8(data: Uint8Array, offset: number, inverse: number): void {
  for (let i = 0; i < blockLength; i++) data[offset + i] = clamp((block[i]! * inverse + 128.5) | 0, 1, 255);
}

function clamp(code: number, lowest: number, highest: number): number {
  return code < lowest ? lowest : code > highest ? highest : code;
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
