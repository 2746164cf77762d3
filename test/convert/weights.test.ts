import { describe, expect, test } from "vitest";
import { encodeFloats, FloatOverflow, splitRows, Weights } from "../../src/convert/blocks/weights.ts";
import { Graph } from "../../src/convert/onnx/graph.ts";
import { externalDataBytes, placePieces, type PlacedPiece } from "../../src/convert/onnx/model-file.ts";
import { quantizeBlockwise } from "../../src/convert/quantize/blockwise.ts";

const tensors = new Map<string, Float32Array>();

function addTensor(name: string, rows: number, columns: number): Float32Array {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => ((i * 37) % 255) - 127);
  tensors.set(name, values);
  return values;
}

function computeFile(graph: Graph, pieces: readonly PlacedPiece[]): Uint8Array {
  const file = new Uint8Array(externalDataBytes(graph));
  for (const { piece, targets } of pieces) {
    const shares = piece.encode(piece.reads.map(({ name }) => tensors.get(name)!));
    shares.forEach((bytes, i) => {
      expect(bytes.length).toBe(targets[i]!.byteLength);
      file.set(bytes, targets[i]!.offset);
    });
  }
  return file;
}

describe("a transposed matrix", () => {
  test.each([
    [[1], 1],
    [[33, 7], 45],
    [[64], 32],
    [[3, 100, 2], 31],
  ])("has rows %j of its parts side by side, %i columns below each other", (rows, columns) => {
    const parts = rows.map((count, i) => ({ name: `part${i}`, rows: count, values: addTensor(`part${i}`, count, columns) }));
    const graph = new Graph();
    new Weights({ weights: "fp32", activations: "fp32" }).transposedMatrix(graph, { parts, columns }, "float32");

    const file = new Float32Array(computeFile(graph, placePieces(graph)).buffer);

    const all = parts.flatMap(({ values }) => [...values]); // [Σ rows, columns]
    const width = all.length / columns;
    expect([...file]).toEqual(all.map((_, i) => all[(i % width) * columns + Math.floor(i / width)]));
  });
});

test("a quantized matrix is the same in whatever order its pieces are computed", () => {
  const parts = ["q", "k", "v"].map((name, i) => ({ name, rows: 3 + i, values: addTensor(name, 3 + i, 64) }));
  const graph = new Graph();
  new Weights({ weights: "int4", activations: "fp32" }).quantizedMatrix(graph, { parts, columns: 64, bits: 8 });

  const pieces = placePieces(graph);
  const file = computeFile(graph, pieces.toReversed());

  expect(pieces).toHaveLength(3);
  const expected = quantizeBlockwise(Float32Array.from(parts.flatMap(({ values }) => [...values])), 64, 8);
  expect(file.subarray(0, expected.data.length)).toEqual(expected.data);
  expect(new Float32Array(file.buffer, 4096)).toEqual(expected.scales); // the next page
});

test.each([
  ["float16", 65_519, 65_520],
  ["bfloat16", 3.38e38, 3.4e38],
] as const)("numbers in %s are rounded up to its largest, and refused beyond it", (dtype, largest, beyond) => {
  expect(encodeFloats(Float32Array.of(largest, -largest), dtype)).toHaveLength(4);
  expect(() => encodeFloats(Float32Array.of(0, -beyond), dtype)).toThrow(FloatOverflow);
});

test("weights whose scales half precision cannot hold are refused", () => {
  const graph = new Graph();
  tensors.set("huge", new Float32Array(64).fill(1e7));
  const matrix = { parts: [{ name: "huge", rows: 2 }], columns: 32, bits: 8 as const };
  new Weights({ weights: "int8", activations: "fp16" }).quantizedMatrix(graph, matrix);

  expect(() => computeFile(graph, placePieces(graph))).toThrow(FloatOverflow);
});

describe("a matrix in pieces", () => {
  test("of up to 2^24 elements is one, without a range", () => {
    const tensor = { name: "x", shape: [2 ** 12, 2 ** 12] };

    expect(splitRows(tensor).map(({ rows, reads }) => ({ rows, reads }))).toEqual([{ rows: 2 ** 12, reads: [tensor] }]);
  });

  test("is all its rows, once each and in order", () => {
    const tensor = { name: "x", shape: [5, 2 ** 23] };
    const pieces = splitRows(tensor);

    expect(pieces.map(({ rows }) => rows)).toEqual([2, 2, 1]);
    expect(pieces.map(({ reads }) => reads)).toEqual([
      [{ ...tensor, rows: { start: 0, count: 2 } }],
      [{ ...tensor, rows: { start: 2, count: 2 } }],
      [{ ...tensor, rows: { start: 4, count: 1 } }],
    ]);
  });

  test("has at least one row in each, however long a row is", () => {
    expect(splitRows({ name: "x", shape: [2, 2 ** 25] }).map(({ rows }) => rows)).toEqual([1, 1]);
  });
});
