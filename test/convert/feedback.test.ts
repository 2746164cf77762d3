import { assert, integer, nat, property, record } from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { bestScale4, blockLength, dequantizeBlockwise, quantizeBlockwise } from "../../src/convert/quantize/blockwise.ts";
import { factorize, panelOffset, type Factor } from "../../src/convert/quantize/factor.ts";
import { quantizeWithFeedback } from "../../src/convert/quantize/feedback.ts";
import { MatrixProducts } from "../../src/convert/quantize/matrix-products.ts";
import { roundToFloat16 } from "../../src/core/half.ts";
import { correlatedInputs, createRandom, normals, secondMoments } from "./correlated-inputs.ts";

const products = new MatrixProducts();
afterAll(() => products.dispose());

/** Of moments [width, width], which are left as they are. */
function factorOf(moments: Float64Array): Factor {
  const width = Math.sqrt(moments.length);
  return products.scope(() => factorize(products, products.copy(Float32Array.from(moments), width, width)));
}

/** [columns, columns] */
function upperTriangular({ columns, squares, panels }: Factor): Float64Array {
  const u = new Float64Array(columns * columns);
  for (let j = 0; j < columns; j++) {
    const block = Math.floor(j / blockLength);
    const start = block * blockLength;
    for (let i = 0; i < start; i++) u[i * columns + j] = panels[panelOffset(block) + (j - start) * start + i]!;
    for (let i = start; i < start + blockLength; i++) u[i * columns + j] = squares[block * 1024 + (j - start) * blockLength + i - start]!;
  }
  return u;
}

function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}

function diagonal(moments: Float64Array): Float64Array {
  const width = Math.sqrt(moments.length);
  return Float64Array.from({ length: width }, (_, i) => moments[i * (width + 1)]!);
}

/** The same by the definition, row by row and in double precision: weights as they come out, [rows, columns]. */
function quantizeNaively(values: Float32Array, columns: number, factor: Factor): Float32Array {
  const u = upperTriangular(factor);
  const width = factor.columns;
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += columns) {
    const errors = new Float64Array(width);
    const corrected = (j: number) => {
      let sum = j < columns ? values[start + j]! : 0;
      for (let i = 0; i < j; i++) sum += errors[i]! * u[i * width + j]!;
      return sum;
    };
    for (let first = 0; first < columns; first += blockLength) {
      const block = Float64Array.from({ length: blockLength }, (_, i) => corrected(first + i));
      const extreme = block.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
      const scale = Math.fround(bestScale4(block, 0, factor.diagonal.subarray(first, first + blockLength), extreme));
      for (let j = first; j < first + blockLength; j++) {
        const code = Math.min(7, Math.max(-8, Math.floor(corrected(j) / scale + 0.5)));
        errors[j] = (j < columns ? values[start + j]! : 0) - code * scale;
        if (j < columns) out[start + j] = code * scale;
      }
    }
  }
  return out;
}

/** Σ e H eᵀ over the rows e of what `rounded` differs by. */
function cost(values: Float32Array, rounded: Float32Array, columns: number, moments: Float64Array): number {
  const width = Math.sqrt(moments.length);
  let sum = 0;
  for (let start = 0; start < values.length; start += columns) {
    const errors = values.subarray(start, start + columns).map((value, i) => value - rounded[start + i]!);
    errors.forEach((e, i) => errors.forEach((f, j) => (sum += e * f * moments[i * width + j]!)));
  }
  return sum;
}

const shapes = record({ seed: nat(), rows: integer({ min: 1, max: 40 }), columns: integer({ min: 1, max: 110 }) });

function draw({ seed, rows, columns }: { seed: number; rows: number; columns: number }) {
  const random = createRandom(seed);
  const width = Math.ceil(columns / blockLength) * blockLength;
  const moments = secondMoments(correlatedInputs(random, 60, columns), columns, width);
  return { values: normals(random, rows * columns), moments };
}

describe("the factor of second moments", () => {
  test("multiplies to them, with a twentieth of the mean of all that is there added to each element of the diagonal", () => {
    assert(
      property(shapes, (shape) => {
        const { moments } = draw(shape);
        const factor = factorOf(moments);
        const { columns } = factor;
        const u = upperTriangular(factor);
        const scale = mean(diagonal(moments).filter((moment) => moment > 0));
        const added = 0.05 * scale;

        let worst = 0;
        for (let i = 0; i < columns; i++) {
          for (let j = 0; j < columns; j++) {
            let sum = 0;
            for (let k = Math.max(i, j); k < columns; k++) sum += u[i * columns + k]! * factor.diagonal[k]! * u[j * columns + k]!;
            worst = Math.max(worst, Math.abs(sum - moments[i * columns + j]! - (i === j ? added : 0)) / scale);
          }
        }
        expect(worst).toBeLessThan(2e-5); // float32, up to 110 columns
        expect(diagonal(u)).toEqual(new Float64Array(columns).fill(1));
      }),
      { numRuns: 25 },
    );
  });

  test("of inputs too large to square is refused", () => {
    const moments = Float64Array.from({ length: 32 * 32 }, (_, i) => (i % 33 === 0 ? 1 : 0));
    moments[33] = Infinity; // of one input

    expect(() => factorOf(moments)).toThrow("second moments are beyond float32");
  });

  test("of inputs that are never there lets every column count alike", () => {
    const factor = factorOf(new Float64Array(64 * 64));

    expect([...factor.diagonal]).toEqual(Array.from({ length: 64 }, () => 1));
    expect(factor.panels.every((value) => value === 0)).toBe(true);
  });
});

describe("error feedback", () => {
  test("is what its definition says, whatever the shape", () => {
    assert(
      property(shapes, (shape) => {
        const { values, moments } = draw(shape);
        const factor = factorOf(moments);
        const rounded = dequantizeBlockwise(quantizeWithFeedback(products, values, shape.columns, factor), shape.columns, 4);

        const naive = quantizeNaively(values, shape.columns, factor);

        // Where single precision falls on the other side of a half, all of the row that follows may differ: the cost does not.
        const [a, b] = [rounded, naive].map((some) => cost(values, some, shape.columns, moments));
        expect(Math.abs(a! - b!)).toBeLessThanOrEqual(0.05 * b! + 1e-9);
        expect(rounded.filter((value, i) => Math.abs(value - naive[i]!) > 1e-5).length / values.length).toBeLessThan(0.1);
      }),
      { numRuns: 25, seed: 1 },
    );
  });

  test.each([
    [16, 64],
    [32, 64],
    [96, 33],
    [250, 16],
  ])("costs less than six tenths of what the search for scales costs on inputs of %i columns that go together", (columns, rows) => {
    const { values, moments } = draw({ seed: columns, rows, columns });
    const withFeedback = dequantizeBlockwise(quantizeWithFeedback(products, values, columns, factorOf(moments)), columns, 4);
    const searched = dequantizeBlockwise(quantizeBlockwise(values, columns, 4), columns, 4);

    expect(cost(values, withFeedback, columns, moments)).toBeLessThan(0.6 * cost(values, searched, columns, moments));
  });

  test("is the search for scales where no input goes with another", () => {
    const columns = 80;
    const moments = Float64Array.from({ length: 96 * 96 }, (_, i) => (i % 97 === 0 ? 2 : 0));
    const values = normals(createRandom(3), 20 * columns);
    const withFeedback = quantizeWithFeedback(products, values, columns, factorOf(moments));
    const searched = quantizeBlockwise(values, columns, 4);

    expect(withFeedback.data).toEqual(searched.data);
    withFeedback.scales.forEach((scale, i) => expect(scale).toBeCloseTo(searched.scales[i]!, 6));
  });

  test("weighs the scale of a block by how strong its inputs are", () => {
    const columns = 32;
    const values = normals(createRandom(4), 64 * columns);
    const moments = Float64Array.from({ length: 32 * 32 }, (_, i) => (i % 33 === 0 ? (i % 4 === 0 ? 20 : 1) : 0));
    const withFeedback = dequantizeBlockwise(quantizeWithFeedback(products, values, columns, factorOf(moments)), columns, 4);
    const searched = dequantizeBlockwise(quantizeBlockwise(values, columns, 4), columns, 4);

    expect(cost(values, withFeedback, columns, moments)).toBeLessThan(0.97 * cost(values, searched, columns, moments));
  });

  test("chooses codes for scales as they will be stored", () => {
    const { values, moments } = draw({ seed: 5, rows: 9, columns: 70 });
    const { scales } = quantizeWithFeedback(products, values, 70, factorOf(moments), roundToFloat16);

    expect(scales).toEqual(scales.map(roundToFloat16));
  });

  test("keeps rows of zeros zero", () => {
    const { moments } = draw({ seed: 6, rows: 1, columns: 64 });
    const { data, scales } = quantizeWithFeedback(products, new Float32Array(3 * 64), 64, factorOf(moments));

    expect(new Set(data)).toEqual(new Set([0x88]));
    expect(scales.every((scale) => scale === 0)).toBe(true);
  });

  test("refuses values that are not rows of the factor's length", () => {
    const factor = factorOf(new Float64Array(32 * 32));

    expect(() => quantizeWithFeedback(products, new Float32Array(66), 33, factor)).toThrow("66 values are not rows of 33");
  });
});
