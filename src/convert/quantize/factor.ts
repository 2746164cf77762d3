// Turns second moments of a matrix's inputs into what error feedback needs.

import { assert } from "../../core/errors.ts";
import { blockLength } from "./blockwise.ts";
import type { Matrix, MatrixProducts } from "./matrix-products.ts";

/** Added to the diagonal, as a share of its mean, for inputs that the calibration has not seen. */
const damping = 0.05;

/**
 * H = U D Uᵀ, U unit upper triangular. An error e of a row costs e H eᵀ = Σ_j D_j (e_j + Σ_{i<j} e_i U_ij)²: column j can make up for
 * those before it.
 */
export type Factor = {
  /** Whole blocks. */
  readonly columns: number;
  /** D [columns] */
  readonly diagonal: Float64Array;
  /** Uᵀ inside each block: [blocks, 32, 32] */
  readonly squares: Float64Array;
  /** Uᵀ left of them: block b has [32, 32·b], from element 32·32·b·(b − 1) / 2 on. */
  readonly panels: Float32Array;
};

const squareLength = blockLength ** 2;

/** First element of block `block` in `panels`. */
export function panelOffset(block: number): number {
  return (squareLength * block * (block - 1)) / 2;
}

/**
 * moments: Σ x xᵀ on whatever scale, symmetric [columns, columns] of whole blocks; its diagonal is changed. Block by block from the last to the first:
 * with the rows V = Uᵀ below known, block J has H_J − Σ_k U_Jk D_k V_k = U_JJ D_J V_J.
 */
export function factorize(products: MatrixProducts, moments: Matrix): Factor {
  const columns = moments.rows;
  const blockCount = columns / blockLength;
  assert(Number.isInteger(blockCount) && moments.columns === columns, `moments of ${columns} × ${moments.columns} are not whole blocks`);
  const floor = damp(moments);
  const factor = {
    columns,
    diagonal: new Float64Array(columns),
    squares: new Float64Array(blockCount * squareLength),
    panels: new Float32Array(panelOffset(blockCount)),
  };
  products.scope(() => {
    const transposed = products.allocate(columns, columns); // read left of the diagonal blocks only
    const rest = products.allocate(blockLength, columns);
    const inverse = products.allocate(blockLength, blockLength);
    const coefficients = products.allocate(blockLength, columns);
    for (let block = blockCount - 1; block >= 0; block--) {
      const [start, end] = [block * blockLength, (block + 1) * blockLength];
      const own = moments.rowRange(start, blockLength);
      if (end < columns) {
        const known = coefficients.part(0, blockLength, columns - end);
        fillCoefficients(known.values, transposed.values, factor.diagonal, start);
        products.multiply("a·b", known, transposed.rowRange(end, columns - end), rest, own);
      } else rest.values.set(own.values);
      const square = factor.squares.subarray(block * squareLength, (block + 1) * squareLength);
      inverse.values.set(factorizeSquare(rest.values, columns, start, square, factor.diagonal, floor));
      const rows = transposed.rowRange(start, blockLength);
      products.multiply("a·b", inverse, rest, rows);
      const panel = factor.panels.subarray(panelOffset(block), panelOffset(block + 1));
      for (let r = 0; r < blockLength; r++) panel.set(rows.values.subarray(r * columns, r * columns + start), r * start);
    }
  });
  return factor;
}

/** Returns what was added, which no element of D can be smaller than. */
function damp({ values, columns }: Matrix): number {
  const diagonal = Array.from({ length: columns }, (_, i) => values[i * (columns + 1)]!);
  assert(diagonal.every(Number.isFinite), "second moments are beyond float32");
  const seen = diagonal.filter((moment) => moment > 0);
  // No input at all: every error is as good as any other.
  const added = seen.length > 0 ? (damping * seen.reduce((sum, moment) => sum + moment, 0)) / seen.length : 1;
  for (let i = 0; i < columns; i++) values[i * (columns + 1)]! += added;
  return added;
}

/** −U_Jk D_k for the columns k after block J: [32, columns − end] */
function fillCoefficients(out: Float32Array, transposed: Float32Array, diagonal: Float64Array, start: number): void {
  const columns = diagonal.length;
  const end = start + blockLength;
  for (let k = end; k < columns; k++) {
    const d = -diagonal[k]!;
    for (let r = 0; r < blockLength; r++) out[r * (columns - end) + k - end] = d * transposed[k * columns + start + r]!;
  }
}

const work = new Float64Array(squareLength);

/**
 * Factorizes the square at column `start` of rows [32, columns] into `square` (Uᵀ) and its part of `diagonal`; returns (U D)⁻¹, with
 * which the rest of the rows becomes rows of Uᵀ.
 */
function factorizeSquare(
  rows: Float32Array,
  columns: number,
  start: number,
  square: Float64Array,
  diagonal: Float64Array,
  floor: number,
): Float64Array {
  const n = blockLength;
  for (let r = 0; r < n; r++) for (let c = 0; c < n; c++) work[r * n + c] = rows[r * columns + start + c]!;
  for (let j = n - 1; j >= 0; j--) {
    const d = Math.max(work[j * n + j]!, floor);
    diagonal[start + j] = d;
    square[j * n + j] = 1;
    for (let i = 0; i < j; i++) square[j * n + i] = work[i * n + j]! / d;
    for (let i = 0; i < j; i++) {
      const scaled = square[j * n + i]! * d;
      for (let k = 0; k <= i; k++) work[k * n + i]! -= square[j * n + k]! * scaled;
    }
  }
  return invert(square, diagonal.subarray(start, start + n));
}

/** (U D)⁻¹ of Uᵀ [32, 32] and D: upper triangular, solved from the last row up. */
function invert(transposed: Float64Array, diagonal: Float64Array): Float64Array {
  const n = blockLength;
  const inverse = new Float64Array(squareLength);
  for (let c = 0; c < n; c++) {
    for (let r = c; r >= 0; r--) {
      let sum = r === c ? 1 : 0;
      for (let k = r + 1; k <= c; k++) sum -= transposed[k * n + r]! * inverse[k * n + c]!;
      inverse[r * n + c] = sum;
    }
  }
  for (let r = 0; r < n; r++) for (let c = r; c < n; c++) inverse[r * n + c]! /= diagonal[r]!;
  return inverse;
}
