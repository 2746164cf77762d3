// Linear layers and MLPs as the converter writes them for our own operators, run by ONNX Runtime, beside double precision.

import { describe, expect, test } from "vitest";
import { linear } from "../../src/convert/blocks/linear.ts";
import { gatedMlp } from "../../src/convert/blocks/mlp.ts";
import { Weights } from "../../src/convert/blocks/weights.ts";
import { Graph } from "../../src/convert/onnx/graph.ts";
import { dequantizeBlockwise, quantizeBlockwise } from "../../src/convert/quantize/blockwise.ts";
import { roundToFloat16 } from "../../src/core/half.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { randomNumbers } from "./modality-moe-layer.ts";
import { runGraph } from "./run-graph.ts";
import { relativeError } from "../../scripts/relative-error.ts";

const library = findKernelLibrary();
const forCpu = new Weights({ weights: "int4", activations: "fp32", experts: "modality-moe" });
const operators = (graph: Graph) => graph.nodes.map(({ op }) => op).filter((op) => op !== "Identity");

/** Activations are rounded to 15 bits per block of 32: 2e-5. Those of ONNX Runtime's operator, to 8 bits, are 1e-2 off. */
const tolerance = 1e-4;

describe("which operator", () => {
  const graphOf = (weights: Weights, rows: number, columns: number) => {
    const graph = new Graph();
    linear(graph, graph.input("x", weights.activation, ["tokens", columns]), { parts: [{ name: "w", rows }], columns, bits: 8 }, weights);
    return operators(graph);
  };

  test.each([
    ["a CPU", forCpu, 32, 64, ["QuantizedLinear"]],
    ["rows that make no tiles", forCpu, 40, 64, ["MatMulNBits"]],
    ["columns that make no blocks", forCpu, 32, 48, ["MatMulNBits"]],
    ["no library", new Weights({ weights: "int4", activations: "fp32" }), 32, 64, ["MatMulNBits"]],
    ["a GPU", new Weights({ weights: "int4", activations: "bf16", experts: "modality-moe" }), 32, 64, ["QuantizedLinear"]],
    ["fp32", new Weights({ weights: "fp32", activations: "fp32", experts: "modality-moe" }), 32, 64, ["MatMul"]],
  ])("%s", (_, weights, rows, columns, expected) => {
    expect(graphOf(weights, rows, columns)).toEqual(expected);
  });
});

test("a wide MLP is computed in pieces of whole blocks, with the same rows of gate and up", () => {
  const graph = new Graph();
  gatedMlp(graph, graph.input("x", "float32", ["tokens", 2560]), { prefix: "mlp", hiddenSize: 2560, width: 12288, bits: 8 }, forCpu);

  const [gateUp, down] = graph.productions;

  const range = (name: string, start: number, count: number) => ({
    name: `mlp.${name}.weight`,
    shape: [12288, 2560],
    rows: { start, count },
  });
  const ranges = [
    [0, 6528],
    [6528, 5760],
  ] as const;
  expect(gateUp!.pieces.map(({ reads }) => reads)).toEqual(
    ranges.map(([start, count]) => [range("gate_proj", start, count), range("up_proj", start, count)]),
  );
  expect(gateUp!.pieces.map(({ rows }) => rows)).toEqual([(2 * 6528) / 16, (2 * 5760) / 16]);
  expect(down!.pieces.map(({ rows }) => rows)).toEqual([1360 / 16, 1200 / 16]);
});

describe.skipIf(library === undefined)(
  library ? "in ONNX Runtime" : "in ONNX Runtime: NOT TESTED, kernels/build/libernie_kernels.so is missing (run npm run kernels:build)",
  () => {
    test.each([
      [1, "fp32", 8, tolerance],
      [3, "fp32", 8, tolerance],
      [40, "fp32", 8, tolerance],
      [40, "fp32", 4, tolerance],
      [40, "fp16", 8, 1e-3],
      [40, "bf16", 8, 8e-3],
      [1, "bf16", 4, 8e-3],
    ] as const)("%i tokens in %s through an int%i layer of three parts", (tokens, activations, bits, limit) => {
      const weights = new Weights({ weights: "int4", activations, experts: "modality-moe" });
      const columns = 96;
      const parts = ["q", "k", "v"].map((name, i) => ({ name, rows: 32 + 16 * i }));
      const tensors = Object.fromEntries(parts.map(({ name, rows }, i) => [name, randomNumbers(rows * columns, i, 0.3)]));
      const graph = new Graph();
      graph.output("y", linear(graph, graph.input("x", weights.activation, ["tokens", columns]), { parts, columns, bits }, weights));
      const x = randomNumbers(tokens * columns, tokens);

      const y = runGraph(graph, library!, { x: { shape: [tokens, columns], values: x } }, [tokens, 144], tensors);

      const all = Float32Array.from(parts.flatMap(({ name }) => [...tensors[name]!]));
      expect(relativeError(y, product(x, rounded(all, columns, bits), columns))).toBeLessThan(limit);
    });

    test("rotates the first heads by the tables of each token", () => {
      const [tokens, columns, headDim, headCount] = [5, 64, 32, 3];
      const parts = ["q", "k", "v"].map((name, i) => ({ name, rows: 64 - 32 * Math.min(i, 1) }));
      const tensors = Object.fromEntries(parts.map(({ name, rows }, i) => [name, randomNumbers(rows * columns, i, 0.3)]));
      const [x, angles] = [randomNumbers(tokens * columns, 4), randomNumbers((tokens * headDim) / 2, 5, Math.PI)];
      const inputs = {
        x: { shape: [tokens, columns], values: x },
        cosines: { shape: [tokens, headDim / 2], values: angles.map(Math.cos) },
        sines: { shape: [tokens, headDim / 2], values: angles.map(Math.sin) },
      };
      const graph = new Graph();
      const input = (name: string, width: number) => graph.input(name, "float32", ["tokens", width]);
      const rotation = { cosines: input("cosines", headDim / 2), sines: input("sines", headDim / 2), headCount };
      graph.output("y", linear(graph, input("x", columns), { parts, columns, bits: 4 }, forCpu, rotation));

      const y = runGraph(graph, library!, inputs, [tokens, 128], tensors);

      const all = Float32Array.from(parts.flatMap(({ name }) => [...tensors[name]!]));
      const wanted = product(x, rounded(all, columns, 4), columns).map((value, i, plain) => {
        const row = i % 128;
        if (row >= headCount * headDim) return value;
        const angle = angles[(Math.floor(i / 128) * headDim) / 2 + ((row % headDim) >> 1)]!;
        const other = plain[i ^ 1]!;
        return value * Math.cos(angle) + (row % 2 === 0 ? -other : other) * Math.sin(angle);
      });
      expect(relativeError(y, wanted)).toBeLessThan(tolerance);
      const short = { ...inputs, sines: { shape: [4, headDim / 2], values: angles.slice(0, 64) } };
      expect(() => runGraph(graph, library!, short, [tokens, 128], tensors)).toThrow("QuantizedLinear: sines wants [5, 16], got [4, 16]");
    });

    test.each([
      [64, 8],
      [80, 8],
      [16, 8],
      [80, 4],
    ] as const)("an MLP of width %i, int%i", (width, bits) => {
      const [hidden, tokens] = [64, 11];
      const tensors = {
        "mlp.gate_proj.weight": randomNumbers(width * hidden, 1, 0.3),
        "mlp.up_proj.weight": randomNumbers(width * hidden, 2, 0.3),
        "mlp.down_proj.weight": randomNumbers(hidden * width, 3, 0.3),
      };
      const graph = new Graph();
      const x = randomNumbers(tokens * hidden, 4, 2);
      const input = graph.input("x", "float32", ["tokens", hidden]);
      graph.output("y", gatedMlp(graph, input, { prefix: "mlp", hiddenSize: hidden, width, bits }, forCpu));

      const shape = [tokens, hidden];
      const y = runGraph(graph, library!, { x: { shape, values: x } }, shape, tensors);

      const [gate, up] = (["gate", "up"] as const).map((name) =>
        product(x, rounded(tensors[`mlp.${name}_proj.weight`], hidden, bits), hidden),
      );
      const inner = gate!.map((z, i) => (z / (1 + Math.exp(-z))) * up![i]!);
      expect(operators(graph)).toEqual(["GatedMlp"]);
      expect(relativeError(y, product(inner, rounded(tensors["mlp.down_proj.weight"], width, bits), width))).toBeLessThan(tolerance);
    });

    test("what does not fit is refused with what was expected", () => {
      const graph = new Graph();
      const codes = graph.constant("uint8", [2, 2, 512], new Uint8Array(2048));
      const scales = graph.constant("float16", [2, 2, 16], new Uint16Array(64));
      const x = graph.input("x", "float32", ["tokens", "columns"]);
      graph.output(
        "y",
        graph.node("QuantizedLinear", [x, codes, scales], [{ dtype: "float32", shape: ["tokens", 32] }], { domain: "ernie_vl" })[0]!,
      );

      const x48 = { shape: [2, 48], values: new Float32Array(96) };
      expect(() => runGraph(graph, library!, { x: x48 }, [2, 32])).toThrow("QuantizedLinear: x wants [..., 64], got [2, 48]");
    });
  },
);

/** What so many bits leave of a matrix, with scales in half precision. */
function rounded(values: Float32Array, columns: number, bits: 4 | 8): Float32Array {
  return dequantizeBlockwise(quantizeBlockwise(values, columns, bits, { roundScale: roundToFloat16 }), columns, bits);
}

/** x [tokens, columns] · w [rows, columns] transposed, in double precision. */
function product(x: ArrayLike<number>, w: Float32Array, columns: number): Float64Array {
  const [tokens, rows] = [x.length / columns, w.length / columns];
  const y = new Float64Array(tokens * rows);
  for (let t = 0; t < tokens; t++) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) y[t * rows + r]! += x[t * columns + c]! * w[r * columns + c]!;
    }
  }
  return y;
}
