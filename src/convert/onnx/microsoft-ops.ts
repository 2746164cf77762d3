// The com.microsoft operators that the model uses, as ONNX Runtime 1.29 has them (its OperatorKernels and op schemas).

import { assert } from "../../core/errors.ts";
import { microsoft, type Attribute, type Graph, type Value } from "./graph.ts";
import { blockLength } from "../quantize/blockwise.ts";
import { lastDim, show } from "./std-ops.ts";

function call(g: Graph, op: string, inputs: readonly (Value | undefined)[], output: Omit<Value, "name">, attributes = {}): Value {
  return g.node(op, inputs, [output], { domain: microsoft, attributes })[0]!;
}

export type QuantizedMatrix = {
  readonly bits: 4 | 8;
  readonly rows: number;
  readonly columns: number;
  /** uint8 [rows, blocks, blockLength · bits / 8], low nibble first, zero point in the middle of the range */
  readonly data: Value;
  /** [rows, blocks] */
  readonly scales: Value;
};

/** x [..., columns] · w [rows, columns] transposed. accuracy_level 4: int8 dot products where the CPU has them. */
export function matMulNBits(g: Graph, x: Value, w: QuantizedMatrix): Value {
  assert(x.shape[x.shape.length - 1] === w.columns, `MatMulNBits wants [*, ${w.columns}], got ${show(x)}`);
  const output = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), w.rows] };
  const attributes = { K: w.columns, N: w.rows, bits: w.bits, block_size: blockLength, accuracy_level: 4 };
  return call(g, "MatMulNBits", [x, w.data, w.scales], output, attributes);
}

/** x / rms(x) · weight over the last dimension; computed in float32. (The operator lives in the standard domain.) */
export function rmsNorm(g: Graph, x: Value, weight: Value, epsilon: number): Value {
  const attributes = { axis: -1, epsilon: { float: epsilon }, stash_type: 1 };
  return g.node("SimplifiedLayerNormalization", [x, weight], [{ dtype: x.dtype, shape: x.shape }], { attributes })[0]!;
}

/** Adds a branch to the residual stream and normalises the sum; returns both. */
export function addRmsNorm(g: Graph, branch: Value, residual: Value, weight: Value, epsilon: number): { normed: Value; residual: Value } {
  const like = { dtype: residual.dtype, shape: residual.shape };
  const [normed, , , sum] = g.node("SkipSimplifiedLayerNormalization", [branch, residual, weight], [like, undefined, undefined, like], {
    domain: microsoft,
    attributes: { epsilon: { float: epsilon } },
  });
  return { normed: normed!, residual: sum! };
}

/** x · sigmoid(alpha · x); alpha 1 is SiLU. */
export function quickGelu(g: Graph, x: Value, alpha: number): Value {
  return call(g, "QuickGelu", [x], { dtype: x.dtype, shape: x.shape }, { alpha: { float: alpha } });
}

/** x [F, N, heads · headDim] with tables [N, headDim / 2] that all F rows share; half-split pairs are rotated. */
export function rotaryEmbeddingShared(g: Graph, x: Value, cosines: Value, sines: Value, headCount: number): Value {
  const firstPosition = g.constant("int64", [1], BigInt64Array.of(0n));
  return call(g, "RotaryEmbedding", [x, firstPosition, cosines, sines], { dtype: x.dtype, shape: x.shape }, { num_heads: headCount });
}

/** Full attention inside each batch row; q, k, v [F, N, heads · headDim]. */
export function multiHeadAttention(g: Graph, q: Value, k: Value, v: Value, headCount: number): Value {
  return call(g, "MultiHeadAttention", [q, k, v], { dtype: q.dtype, shape: q.shape }, { num_heads: headCount });
}

export type KvCache = {
  readonly pastKey: Value;
  readonly pastValue: Value;
  readonly presentKey: string;
  readonly presentValue: string;
  /** Of an int8 cache: float32 [1, kvHeads, 1, headDim], what a step of each channel's integers is worth. */
  readonly scales?: { readonly key: Value; readonly value: Value };
};

/** q, k and v [B, S, heads · headDim] each, or all heads side by side in one tensor. */
export type Qkv = readonly [q: Value, k: Value, v: Value] | readonly [packed: Value];

/** Causal attention that appends k and v to their cache slots; gives [B, S, query heads · headDim]. */
export function groupQueryAttention(
  g: Graph,
  [q, k, v]: Qkv,
  cache: KvCache,
  lengths: { readonly seqlensK: Value; readonly total: Value },
  heads: { readonly query: number; readonly kv: number },
): { attended: Value; presentKey: Value; presentValue: Value } {
  const like = (value: Value) => ({ dtype: value.dtype, shape: value.shape });
  const attendedShape = [...q.shape.slice(0, -1), heads.query * Number(lastDim(cache.pastKey))];
  const { scales } = cache;
  // Cosines and sines, positions, bias and sinks are not used; the scales come after them.
  const scaleInputs = scales ? [undefined, undefined, undefined, undefined, undefined, scales.key, scales.value] : [];
  const quantized = scales && { k_quant_type: "PER_CHANNEL", v_quant_type: "PER_CHANNEL", kv_cache_bit_width: 8 };
  const inputs = [q, k, v, cache.pastKey, cache.pastValue, lengths.seqlensK, lengths.total, ...scaleInputs];
  const [attended, presentKey, presentValue] = g.node(
    "GroupQueryAttention",
    inputs,
    [{ dtype: q.dtype, shape: attendedShape }, like(cache.pastKey), like(cache.pastValue)],
    {
      domain: microsoft,
      attributes: { num_heads: heads.query, kv_num_heads: heads.kv, ...quantized },
      outputNames: [cache.presentKey.replace("present_key", "attended"), cache.presentKey, cache.presentValue],
    },
  );
  return { attended: attended!, presentKey: presentKey!, presentValue: presentValue! };
}

export type ExpertWeights =
  | { readonly type: "dense"; readonly gateUp: Value; readonly down: Value }
  | {
      readonly type: "quantized";
      readonly bits: 4 | 8;
      readonly gateUp: Value;
      readonly gateUpScales: Value;
      readonly down: Value;
      readonly downScales: Value;
    };

/**
 * Sum over each token's `topK` best experts of softmax(routerLogits of those) · SwiGLU expert. gateUp [E, 2·I, H] has rows 2i
 * gate and 2i+1 up, the one arrangement that both providers know; down [E, H, I]. routerLogits [T, E].
 */
export function mixtureOfExperts(g: Graph, x: Value, routerLogits: Value, experts: ExpertWeights, topK: number): Value {
  const output = { dtype: x.dtype, shape: x.shape };
  const attributes: Record<string, Attribute> = {
    k: topK,
    activation_type: "swiglu",
    swiglu_fusion: 1,
    activation_alpha: { float: 1 },
    activation_beta: { float: 0 },
    normalize_routing_weights: 1,
  };
  if (experts.type === "dense") return call(g, "MoE", [x, routerLogits, experts.gateUp, undefined, experts.down], output, attributes);
  const quantized = { ...attributes, expert_weight_bits: experts.bits, block_size: blockLength, weights_prepacked: 0 };
  const { gateUp, gateUpScales, down, downScales } = experts;
  return call(g, "QMoE", [x, routerLogits, gateUp, gateUpScales, undefined, down, downScales], output, quantized);
}
