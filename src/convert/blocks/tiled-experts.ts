// The routed experts as our own operator (kernels/ops/modality_moe): routing and both banks in one node, no padding of one bank to
// the width of the other, weights in tiles.

import { interleaveTiles, modalityMoe, packTiles, tiledShapes, type ModalityRouter, type TiledExperts } from "../onnx/custom-ops.ts";
import type { Graph, TensorRef, Value } from "../onnx/graph.ts";
import { blockLength } from "../quantize/blockwise.ts";
import type { RoutedExperts } from "./moe.ts";
import { quantizedExpert } from "./quantized-expert.ts";
import { encodeFloats, wholeTensor, type Build, type RowSource } from "./weights.ts";

type Bank = { readonly firstExpert: number; readonly ownWidth: number; readonly norm: TensorRef };

export function tiledExperts(visionExpert: Value, build: Build): RoutedExperts {
  const { expertCount, textWidth, visionWidth, topK, normMin } = build.config.moe;
  return (g, x, layer) => {
    const prefix = `model.layers.${layer}.mlp`;
    const norm = { name: `model.layers.${layer}.post_attention_layernorm.weight`, shape: [build.config.text.hiddenSize] };
    const scope = g.scope("experts");
    const banks = {
      text: bankWeights(scope.scope("text"), prefix, { firstExpert: 0, ownWidth: textWidth, norm }, build),
      vision: bankWeights(scope.scope("vision"), prefix, { firstExpert: expertCount, ownWidth: visionWidth, norm }, build),
    };
    return modalityMoe(scope, { x, visionExpert }, routerWeights(g.scope("router"), prefix, build), banks, { topK, normMin });
  };
}

function routerWeights(g: Graph, prefix: string, { config, weights: w }: Build): ModalityRouter {
  const { expertCount } = config.moe;
  const { hiddenSize } = config.text;
  const banks = ["gate.weight", "gate.weight_1"].map((name): RowSource => ({
    rows: 1,
    reads: [{ name: `${prefix}.${name}`, shape: [hiddenSize, expertCount] }],
    arrange: ([values]) => {
      const rows = new Float32Array(expertCount * hiddenSize);
      for (let h = 0; h < hiddenSize; h++) for (let e = 0; e < expertCount; e++) rows[e * hiddenSize + h] = values![h * expertCount + e]!;
      return rows;
    },
  }));
  const bias = wholeTensor({ name: `${prefix}.moe_statics.e_score_correction_bias`, shape: [2, expertCount] });
  return {
    weight: w.plain(g, "weight", "float32", [2, expertCount, hiddenSize], banks),
    correctionBias: w.plain(g, "correction_bias", "float32", [2, expertCount], [bias]),
  };
}

/** One bank, its width padded with zeros to whole blocks (nothing to do at the published sizes). */
function bankWeights(g: Graph, prefix: string, { firstExpert, ownWidth, norm }: Bank, { config, weights: w }: Build): TiledExperts {
  const { hiddenSize } = config.text;
  const width = Math.ceil(ownWidth / blockLength) * blockLength;
  const experts = Array.from({ length: config.moe.expertCount }, (_, i) => `${prefix}.experts.${firstExpert + i}`);
  const gateUp = experts.map((expert): RowSource => ({
    rows: 2 * width,
    reads: ["gate_proj", "up_proj"].map((name) => ({ name: `${expert}.${name}.weight`, shape: [ownWidth, hiddenSize] })),
    arrange: ([gate, up]) => interleaveTiles(padRows(gate!, width, hiddenSize), padRows(up!, width, hiddenSize), hiddenSize),
  }));
  const down = experts.map((expert): RowSource => ({
    rows: hiddenSize,
    reads: [{ name: `${expert}.down_proj.weight`, shape: [hiddenSize, ownWidth] }],
    arrange: ([values]) => padColumns(values!, ownWidth, width),
  }));
  const bits = w.precision === "int4" ? 4 : 8;
  const pieces = gateUp.map((source, i) =>
    quantizedExpert({ gateUp: source, down: down[i]!, norm, width }, (values, columns, importance) => {
      const tiled = packTiles(w.quantize(values, columns, bits, "float16", importance), columns, bits);
      return [tiled.data, encodeFloats(tiled.scales, "float16")];
    }),
  );
  const pair = (label: string, rows: number, columns: number) => {
    const shapes = tiledShapes(experts.length, rows, columns, bits);
    return [
      { name: `${label}.tiles`, dtype: "uint8" as const, shape: shapes.codes },
      { name: `${label}.scales`, dtype: "float16" as const, shape: shapes.scales },
    ];
  };
  const values = [...pair("gate_up_proj", 2 * width, hiddenSize), ...pair("down_proj", hiddenSize, width)];
  const [gateUpCodes, gateUpScales, downCodes, downScales] = g.weights(values, pieces) as [Value, Value, Value, Value];
  return { gateUp: gateUpCodes, gateUpScales, down: downCodes, downScales };
}

function padRows(values: Float32Array, rows: number, columns: number): Float32Array {
  if (values.length === rows * columns) return values;
  const padded = new Float32Array(rows * columns);
  padded.set(values);
  return padded;
}

function padColumns(values: Float32Array, columns: number, width: number): Float32Array {
  if (columns === width) return values;
  const rows = values.length / columns;
  const padded = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) padded.set(values.subarray(row * columns, (row + 1) * columns), row * width);
  return padded;
}
