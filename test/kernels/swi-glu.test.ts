import { describe, expect, test } from "vitest";
import { swiGlu } from "../../src/convert/onnx/custom-ops.ts";
import { Graph } from "../../src/convert/onnx/graph.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { formats, type Activation } from "./activation-formats.ts";
import { randomNumbers } from "./modality-moe-layer.ts";
import { runGraph } from "./run-graph.ts";

const library = findKernelLibrary();

function graphOf(activation: Activation, width: number | string): Graph {
  const g = new Graph();
  const x = g.input("x", activation, ["batch", "tokens", width]);
  g.output("y", swiGlu(g, x));
  return g;
}

describe.skipIf(!library)(library ? "SwiGlu in ONNX Runtime" : "SwiGlu: NOT TESTED, npm run kernels:build makes the library", () => {
  test.each([
    ["float32", 1e-6],
    ["float16", 1e-3],
    ["bfloat16", 8e-3],
  ] as const)("%s activations agree with silu(gate) · up, few rows and many", (activation, tolerance) => {
    const width = 96;
    for (const [batch, tokens] of [
      [1, 1],
      [3, 1],
      [2, 300],
    ] as const) {
      const { encode, decode } = formats[activation];
      const x = decode(encode(randomNumbers(batch * tokens * 2 * width, tokens, 6)));

      const y = runGraph(graphOf(activation, 2 * width), library!, { x: { shape: [batch, tokens, 2 * width], values: x } }, [
        batch,
        tokens,
        width,
      ]);

      const worst = y.reduce((largest, value, i) => {
        const gate = x[Math.floor(i / width) * 2 * width + (i % width)]!;
        const wanted = (gate / (1 + Math.exp(-gate))) * x[Math.floor(i / width) * 2 * width + width + (i % width)]!;
        return Math.max(largest, Math.abs(value - wanted) / Math.max(1, Math.abs(wanted)));
      }, 0);
      expect(worst, `${batch} × ${tokens}`).toBeLessThan(tolerance);
    }
  });

  test("an odd half is refused when the graph is built", () => {
    expect(() => graphOf("float32", 6)).toThrow(/SwiGlu wants \[\.\.\., 2I\] with an even I/);
  });
});
