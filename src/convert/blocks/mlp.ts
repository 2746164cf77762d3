// SwiGLU: down( silu(gate(x)) · up(x) ), with gate and up as one matrix. Dense layers and shared experts are this.

import type { Graph, Value } from "../onnx/graph.ts";
import { quickGelu } from "../onnx/microsoft-ops.ts";
import { mul, split } from "../onnx/std-ops.ts";
import type { Weights } from "./weights.ts";

/** `prefix` names the checkpoint's module, e.g. `model.layers.0.mlp`. */
export function gatedMlp(g: Graph, x: Value, w: Weights, prefix: string, hiddenSize: number, width: number): Value {
  const gateUp = w.linear(g.scope("gate_up_proj"), x, {
    parts: [
      { name: `${prefix}.gate_proj.weight`, rows: width },
      { name: `${prefix}.up_proj.weight`, rows: width },
    ],
    columns: hiddenSize,
  });
  const [gate, up] = split(g, gateUp, [width, width]);
  const inner = mul(g, quickGelu(g, gate!, 1), up!);
  return w.linear(g.scope("down_proj"), inner, { parts: [{ name: `${prefix}.down_proj.weight`, rows: hiddenSize }], columns: width });
}
