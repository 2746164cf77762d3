import { describe, expect, test } from "vitest";
import { rotaryQkv } from "../../src/convert/onnx/custom-ops.ts";
import { Graph } from "../../src/convert/onnx/graph.ts";
import { concat, rotaryEmbeddingPerToken, split } from "../../src/convert/onnx/std-ops.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { formats, type Activation } from "./activation-formats.ts";
import { randomNumbers } from "./modality-moe-layer.ts";
import { runGraph, type Numbers } from "./run-graph.ts";

const library = findKernelLibrary();
const heads = { query: 4, kv: 2 };
const headDim = 32;
const width = (heads.query + 2 * heads.kv) * headDim;

function inputsOf(g: Graph, activation: Activation) {
  const table = (name: string) => g.input(name, activation, ["batch", "tokens", headDim / 2]);
  return { x: g.input("x", activation, ["batch", "tokens", width]), cosines: table("cosines"), sines: table("sines") };
}

function fusedGraph(activation: Activation): Graph {
  const g = new Graph();
  const { x, cosines, sines } = inputsOf(g, activation);
  g.output("y", rotaryQkv(g, x, cosines, sines, heads));
  return g;
}

/** What graphs without our operators do. */
function plainGraph(activation: Activation): Graph {
  const g = new Graph();
  const { x, cosines, sines } = inputsOf(g, activation);
  const [q, k, v] = split(g, x, [heads.query * headDim, heads.kv * headDim, heads.kv * headDim]);
  const rotate = (part: typeof x, count: number) => rotaryEmbeddingPerToken(g, part, cosines, sines, count);
  g.output("y", concat(g, [rotate(q!, heads.query), rotate(k!, heads.kv), v!]));
  return g;
}

function randomInputs(activation: Activation, batch: number, tokens: number): Record<"x" | "cosines" | "sines", Numbers> {
  const { encode, decode } = formats[activation];
  const numbers = (last: number, values: Float32Array): Numbers => ({ shape: [batch, tokens, last], values: decode(encode(values)) });
  const angles = randomNumbers((batch * tokens * headDim) / 2, 2, Math.PI);
  return {
    x: numbers(width, randomNumbers(batch * tokens * width, 1, 3)),
    cosines: numbers(headDim / 2, angles.map(Math.cos)),
    sines: numbers(headDim / 2, angles.map(Math.sin)),
  };
}

describe.skipIf(!library)(library ? "RotaryQkv in ONNX Runtime" : "RotaryQkv: NOT TESTED, npm run kernels:build makes the library", () => {
  test.each([
    ["float32", 2e-6],
    ["float16", 6e-3], // ONNX Runtime rounds each product
    ["bfloat16", 6e-2],
  ] as const)("%s activations come out as from Split and RotaryEmbedding, few tokens and many", (activation, tolerance) => {
    for (const [batch, tokens] of [
      [1, 1],
      [3, 1],
      [2, 300],
    ] as const) {
      const inputs = randomInputs(activation, batch, tokens);
      const run = (graph: Graph) => runGraph(graph, library!, inputs, [batch, tokens, width]);

      const y = run(fusedGraph(activation));

      // The CPU provider's RotaryEmbedding has no bfloat16.
      const wanted =
        activation === "bfloat16" ? runGraph(plainGraph("float32"), library!, inputs, [batch, tokens, width]) : run(plainGraph(activation));
      const worst = y.reduce((largest, value, i) => Math.max(largest, Math.abs(value - wanted[i]!)), 0);
      expect(worst, `${batch} × ${tokens}`).toBeLessThan(tolerance);
    }
  });

  test("tables of other tokens are refused with the shapes", () => {
    const { x } = randomInputs("float32", 1, 3);
    const { cosines, sines } = randomInputs("float32", 1, 2);

    expect(() => runGraph(fusedGraph("float32"), library!, { x, cosines, sines }, [1, 3, width])).toThrow(
      "RotaryQkv: cosines wants [1, 3, 16], got [1, 2, 16]",
    );
  });

  test("a projection of other heads is refused when the graph is built", () => {
    const g = new Graph();
    const { x, cosines, sines } = inputsOf(g, "float32");

    expect(() => rotaryQkv(g, x, cosines, sines, { query: 5, kv: 2 })).toThrow("RotaryQkv wants [*, 288] of float32");
  });
});
