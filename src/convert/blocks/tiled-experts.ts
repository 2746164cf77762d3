// The routed experts as our own operator (kernels/ops/modality_moe): routing and both banks in one node, no padding of one bank to
// the width of the other, weights in tiles.

import { roundToFloat16 } from "../../core/half.ts";
import { interleaveTiles, modalityMoe, packTiles, tiledShapes, type ModalityRouter, type TiledExperts } from "../onnx/custom-ops.ts";
import type { Graph, Piece, Value } from "../onnx/graph.ts";
import { blockLength, quantizeBlockwise } from "../quantize/blockwise.ts";
import type { RoutedExperts } from "./moe.ts";
import { encodeFloats, wholeTensor, type Build, type RowSource } from "./weights.ts";

type Bank = { readonly firstExpert: number; readonly ownWidth: number };

export function tiledExperts(visionExpert: Value, build: Build): RoutedExperts {
  const { expertCount, textWidth, visionWidth, topK, normMin } = build.config.moe;
  return (g, x, layer) => {
    const prefix = `model.layers.${layer}.mlp`;
    const scope = g.scope("experts");
    const banks = {
      text: bankWeights(scope.scope("text"), prefix, { firstExpert: 0, ownWidth: textWidth }, build),
      vision: bankWeights(scope.scope("vision"), prefix, { firstExpert: expertCount, ownWidth: visionWidth }, build),
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
function bankWeights(g: Graph, prefix: string, { firstExpert, ownWidth }: Bank, { config, weights: w }: Build): TiledExperts {
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
  const [gateUpCodes, gateUpScales] = tiles(g, "gate_up_proj", gateUp, hiddenSize, bits);
  const [downCodes, downScales] = tiles(g, "down_proj", down, width, bits);
  return { gateUp: gateUpCodes, gateUpScales, down: downCodes, downScales };
}

/** Codes and scales of matrices of equal shape, one per source. */
function tiles(g: Graph, label: string, sources: readonly RowSource[], columns: number, bits: 4 | 8): [Value, Value] {
  const shapes = tiledShapes(sources.length, sources[0]!.rows, columns, bits);
  const pieces = sources.map(({ rows, reads, arrange }): Piece => ({
    rows,
    reads,
    encode: (tensors) => {
      const tiled = packTiles(quantizeBlockwise(arrange(tensors), columns, bits, roundToFloat16), columns, bits);
      return [tiled.data, encodeFloats(tiled.scales, "float16")];
    },
  }));
  const values = [
    { name: `${label}.tiles`, dtype: "uint8" as const, shape: shapes.codes },
    { name: `${label}.scales`, dtype: "float16" as const, shape: shapes.scales },
  ];
  return g.weights(values, pieces) as [Value, Value];
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
