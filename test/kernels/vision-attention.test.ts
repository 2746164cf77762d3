// Attention of the vision tower as the converter writes it for our own operator, run by ONNX Runtime, beside ONNX Runtime's operators.

import { describe, expect, test } from "vitest";
import { relativeError } from "../../scripts/relative-error.ts";
import { frameAttention } from "../../src/convert/blocks/vision.ts";
import { Weights } from "../../src/convert/blocks/weights.ts";
import { Graph } from "../../src/convert/onnx/graph.ts";
import type { VisionConfig } from "../../src/core/model-config.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { randomNumbers } from "./modality-moe-layer.ts";
import { runGraph } from "./run-graph.ts";

const library = findKernelLibrary();
const own = new Weights({ weights: "int4", activations: "fp32", experts: "modality-moe" });
const theirs = new Weights({ weights: "int4", activations: "fp32" });

function attentionGraph(weights: Weights, headCount: number, headDim: number): Graph {
  const graph = new Graph();
  const hiddenSize = headCount * headDim;
  const qkv = graph.input("qkv", weights.activation, ["frames", "patches", 3 * hiddenSize]);
  const cosines = graph.input("cosines", weights.activation, ["patches", headDim / 2]);
  const sines = graph.input("sines", weights.activation, ["patches", headDim / 2]);
  graph.output("y", frameAttention(graph, qkv, { cosines, sines }, { hiddenSize, headCount } as VisionConfig, weights));
  return graph;
}

describe("which operators", () => {
  const ours = ["VisionAttention"];
  const rotated = (attend: string) => ["Split", "RotaryEmbedding", "RotaryEmbedding", attend];

  test.each([
    ["a CPU", own, 80, ours],
    ["heads wider than it takes", own, 160, rotated("MultiHeadAttention")],
    ["no library", theirs, 80, rotated("MultiHeadAttention")],
    ["a GPU", new Weights({ weights: "int4", activations: "bf16", experts: "modality-moe" }), 80, rotated("Attention")],
    ["fp32", new Weights({ weights: "fp32", activations: "fp32", experts: "modality-moe" }), 80, rotated("MultiHeadAttention")],
  ])("%s", (_, weights, headDim, expected) => {
    const operators = attentionGraph(weights, 2, headDim).nodes.map(({ op }) => op);
    expect(operators.filter((op) => [...ours, "Split", "RotaryEmbedding", "MultiHeadAttention", "Attention"].includes(op))).toEqual(
      expected,
    );
  });
});

describe.skipIf(!library)("in ONNX Runtime", () => {
  const inputsOf = (frames: number, patches: number, width: number, half: number) => {
    const angles = randomNumbers(patches * half, 2);
    return {
      qkv: { shape: [frames, patches, 3 * width], values: randomNumbers(frames * patches * 3 * width, 1) },
      cosines: { shape: [patches, half], values: angles.map(Math.cos) },
      sines: { shape: [patches, half], values: angles.map(Math.sin) },
    };
  };

  test.each([
    [1, 4, 2, 24],
    [1, 100, 16, 80],
    [3, 64, 4, 24],
  ])("%i frames of %i patches, %i heads of %i: nearly what ONNX Runtime's operators give", (frames, patches, heads, headDim) => {
    const inputs = inputsOf(frames, patches, heads * headDim, headDim / 2);
    const run = (weights: Weights) =>
      runGraph(attentionGraph(weights, heads, headDim), library!, inputs, [frames, patches, heads * headDim]);

    // Values are rounded to 12 bits, probabilities to 13.
    expect(relativeError(run(own), run(theirs))).toBeLessThan(6e-4);
  });

  test("no patches are no result", () => {
    expect(runGraph(attentionGraph(own, 2, 24), library!, inputsOf(1, 0, 48, 12), [1, 0, 48])).toHaveLength(0);
  });

  test("tables for another number of patches are refused", () => {
    const { qkv } = inputsOf(1, 5, 48, 12);
    const { cosines, sines } = inputsOf(1, 4, 48, 12);

    expect(() => runGraph(attentionGraph(own, 2, 24), library!, { qkv, cosines, sines }, [1, 5, 48])).toThrow(
      "VisionAttention: cosines wants [5, 12], got [4, 12]",
    );
  });
});
