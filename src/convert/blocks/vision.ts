// The vision graph: patches → vision tower → resampler → rows that replace embeddings. Contract: core/graph-io.ts.

import { visionIo } from "../../core/graph-io.ts";
import type { ModelConfig, VisionConfig } from "../../core/model-config.ts";
import { maxVisionHeadDim, visionAttention } from "../onnx/custom-ops.ts";
import { Graph, type Value } from "../onnx/graph.ts";
import { multiHeadAttention, quickGelu, rmsNorm, rotaryEmbeddingShared } from "../onnx/microsoft-ops.ts";
import {
  add,
  cast,
  concat,
  cos,
  fullAttention,
  gather,
  gelu,
  identity,
  int64,
  int64s,
  layerNorm,
  mul,
  reshape,
  sin,
  split,
  transpose,
  zeros,
} from "../onnx/std-ops.ts";
import type { RotaryTables } from "./attention.ts";
import { visionLinear, visionLinearBias } from "./linear.ts";
import type { Build, Weights } from "./weights.ts";

/** QuickGELU of the tower: x · sigmoid(1.702 x). */
const quickGeluAlpha = 1.702;

/**
 * All frames of a run have the same size. Frames are the batch axis, so attention stays inside a frame. A run computes the layers that its inputs
 * name, so that a large picture can be encoded in several runs: patches are embedded with the first layer, and resampled after the last.
 */
export function buildVision({ config, weights: w }: Build): Graph {
  const g = new Graph();
  const { vision, text } = config;
  const { layerCount, hiddenSize } = vision;
  const patchWidth = 3 * vision.patchSize ** 2;
  const patches = g.input(visionIo.patches, "uint8", ["frames", "patches", patchWidth]);
  const grid = g.input(visionIo.gridPositions, "int64", ["patches", 2]);
  const framePairs = g.input(visionIo.framePairs, "int64", ["pairs", 2]);
  const hidden = g.input(visionIo.hidden, w.activation, ["frames", "patches", hiddenSize]);
  const runs = Array.from({ length: layerCount }, (_, layer) => g.input(visionIo.runsLayer(layer), "bool", []));

  const rotary = rotaryTables2d(g.scope("rope2d"), grid, vision, w.activation);
  const embed = (branch: Graph): Value => {
    const pixels = normalisePixels(branch.scope("normalise"), patches, config, w.activation);
    return visionLinear(branch.scope("patch_embed"), pixels, "vision_model.patch_embed.proj", hiddenSize, patchWidth, w);
  };
  const block = (branch: Graph, before: Value, layer: number): Value => {
    const after = visionBlock(branch, layer === 0 ? embed(branch) : before, w, rotary, layer, vision);
    if (layer < layerCount - 1) return after;
    return norm(branch.scope("ln"), after, w, "vision_model.ln", hiddenSize, vision.layerNormEpsilon);
  };
  const tower = runs.reduce((before, runsLayer, layer) => {
    const scope = g.scope(`blocks.${layer}`);
    return scope.choose(
      runsLayer,
      (branch) => block(branch, before, layer),
      (branch) => identity(branch, before),
    );
  }, hidden);
  g.output(visionIo.nextHidden, tower);
  const features = g.scope("resampler").choose(
    runs.at(-1)!,
    (branch) => resampler(branch, tower, framePairs, w, config),
    (branch) => identity(branch, zeros(branch, w.activation, [1, text.hiddenSize])),
  );
  g.output(visionIo.features, features);
  return g;
}

/** (pixel / 255 − mean) / std per channel, in float32; a patch holds all of channel 0, then 1, then 2. */
function normalisePixels(g: Graph, patches: Value, { image, vision }: ModelConfig, dtype: Value["dtype"]): Value {
  const perChannel = vision.patchSize ** 2;
  const table = (value: (channel: 0 | 1 | 2) => number) =>
    g.constant(
      "float32",
      [3 * perChannel],
      Float32Array.from({ length: 3 * perChannel }, (_, i) => value(Math.floor(i / perChannel) as 0 | 1 | 2)),
    );
  const scale = table((channel) => 1 / (255 * image.std[channel]));
  const shift = table((channel) => -image.mean[channel] / image.std[channel]);
  return cast(g, add(g, mul(g, cast(g, patches, "float32"), scale), shift), dtype);
}

/** cos and sin [N, headDim / 2]: the first half of the angles follows the row, the second the column. */
function rotaryTables2d(g: Graph, grid: Value, config: VisionConfig, dtype: Value["dtype"]): RotaryTables {
  const half = config.hiddenSize / config.headCount / 2;
  const axes = Array.from({ length: half }, (_, i) => (i < half / 2 ? 0 : 1));
  const frequencies = Float32Array.from({ length: half }, (_, i) => config.ropeTheta ** ((-2 * (i % (half / 2))) / half));
  const perAngle = gather(g, transpose(g, cast(g, grid, "float32"), [1, 0]), int64s(g, axes)); // [half, N]
  const angles = mul(g, transpose(g, perAngle, [1, 0]), g.constant("float32", [half], frequencies));
  return { cosines: cast(g, cos(g, angles), dtype), sines: cast(g, sin(g, angles), dtype) };
}

/** x += proj(attention(norm1(x))); x += fc2(quick_gelu(fc1(norm2(x)))) */
function visionBlock(g: Graph, x: Value, w: Weights, rotary: RotaryTables, layer: number, config: VisionConfig): Value {
  const { hiddenSize, mlpWidth, layerNormEpsilon } = config;
  const name = (module: string) => `vision_model.blocks.${layer}.${module}`;
  const normed = norm(g.scope("norm1"), x, w, name("norm1"), hiddenSize, layerNormEpsilon);
  const qkv = visionLinearBias(g.scope("attn.qkv"), normed, name("attn.qkv"), 3 * hiddenSize, hiddenSize, w);
  const attended = frameAttention(g.scope("attn"), qkv, rotary, config, w);
  const middle = add(g, x, visionLinearBias(g.scope("attn.proj"), attended, name("attn.proj"), hiddenSize, hiddenSize, w));
  const normed2 = norm(g.scope("norm2"), middle, w, name("norm2"), hiddenSize, layerNormEpsilon);
  const inner = visionLinearBias(g.scope("mlp.fc1"), normed2, name("mlp.fc1"), mlpWidth, hiddenSize, w);
  const activated = quickGelu(g, inner, quickGeluAlpha);
  return add(g, middle, visionLinearBias(g.scope("mlp.fc2"), activated, name("mlp.fc2"), hiddenSize, mlpWidth, w));
}

/** Attention of each frame's patches to all of the frame: qkv [F, N, 3 · D] → [F, N, D]. */
export function frameAttention(g: Graph, qkv: Value, rotary: RotaryTables, { hiddenSize, headCount }: VisionConfig, w: Weights): Value {
  const isOnCpu = w.activation === "float32";
  if (isOnCpu && w.hasOwnOperators && hiddenSize / headCount <= maxVisionHeadDim) return visionAttention(g, qkv, rotary, headCount);
  const [q, k, v] = split(g, qkv, [hiddenSize, hiddenSize, hiddenSize]) as [Value, Value, Value];
  const rotate = (label: string, value: Value) => rotaryEmbeddingShared(g.scope(label), value, rotary.cosines, rotary.sines, headCount);
  // On a CPU, ONNX Runtime's own operator is faster. On CUDA it needs cuDNN, while the standard one uses FlashAttention.
  const attend = isOnCpu ? multiHeadAttention : fullAttention;
  return attend(g, rotate("rope_q", q), rotate("rope_k", k), v, headCount);
}

function norm(g: Graph, x: Value, w: Weights, name: string, width: number, epsilon: number): Value {
  return layerNorm(g, x, w.vector(g, "weight", `${name}.weight`, width), w.vector(g, "bias", `${name}.bias`, width), epsilon);
}

/**
 *  [F, N, D] ─ 4 neighbours in one row ─ spatial ─ frames in pairs ─ temporal ─ mlp ─ RMSNorm ── [P·N/4, H]
 *
 * A picture is a two-frame clip of itself: its frame is paired with itself.
 */
function resampler(g: Graph, x: Value, framePairs: Value, w: Weights, { vision, text }: ModelConfig): Value {
  const width = vision.hiddenSize * vision.mergeSize ** 2;
  const module = (name: string) => `model.resampler_model.${name}`;
  const stage = (name: string, input: Value, inputWidth: number) => {
    const scope = g.scope(name);
    const first = visionLinearBias(scope.scope("0"), input, module(`${name}.0`), width, inputWidth, w);
    const second = visionLinearBias(scope.scope("2"), gelu(scope, first), module(`${name}.2`), width, width, w);
    return norm(scope.scope("3"), second, w, module(`${name}.3`), width, vision.layerNormEpsilon);
  };
  const windows = reshape(g, x, [0, -1, width], ["frames", "windows", width]);
  const spatial = stage("spatial_linear", windows, width);
  const frame = (which: number) => gather(g, spatial, gather(g, framePairs, int64(g, which), 1));
  const temporal = stage("temporal_linear", concat(g, [frame(0), frame(1)]), vision.temporalMergeSize * width);
  const projected = visionLinearBias(g.scope("mlp"), temporal, module("mlp"), text.hiddenSize, width, w);
  const weight = w.vector(g.scope("after_norm"), "weight", module("after_norm.weight"), text.hiddenSize);
  const rows = rmsNorm(g.scope("after_norm"), projected, weight, text.rmsEpsilon);
  return reshape(g.scope("rows"), rows, [-1, text.hiddenSize], ["vision_rows", text.hiddenSize]);
}
