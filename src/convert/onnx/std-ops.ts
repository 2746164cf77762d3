// The standard ONNX operators (opset 23) that the model uses. Each checks types and shapes as it is called.

import { elementBytes, elementCount, onnxTypeCode, type DataType } from "../../core/data-type.ts";
import { assert } from "../../core/errors.ts";
import type { Dim, Graph, Value } from "./graph.ts";

/** `float32[batch,128]`, for messages. */
export function show(value: Value): string {
  return `${value.dtype}[${value.shape.join(",")}]`;
}

function one(values: readonly Value[]): Value {
  return values[0]!;
}

export function lastDim(value: Value): Dim {
  return value.shape[value.shape.length - 1]!;
}

/** Shape of an element-wise result: dimensions align at the end, 1 stretches. */
function broadcast(a: Value, b: Value, op: string): Dim[] {
  assert(a.dtype === b.dtype, `${op} wants one type, got ${show(a)} and ${show(b)}`);
  const rank = Math.max(a.shape.length, b.shape.length);
  const at = (value: Value, i: number) => value.shape[i - rank + value.shape.length] ?? 1;
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [at(a, i), at(b, i)];
    if (x === 1) return y;
    assert(y === 1 || x === y, `${op} cannot combine ${show(a)} and ${show(b)}`);
    return x;
  });
}

function binary(op: string) {
  return (g: Graph, a: Value, b: Value): Value => one(g.node(op, [a, b], [{ dtype: a.dtype, shape: broadcast(a, b, op) }]));
}

export const add = binary("Add");
const sub = binary("Sub");
export const mul = binary("Mul");
export const max = binary("Max");

function unary(op: string) {
  return (g: Graph, x: Value): Value => one(g.node(op, [x], [{ dtype: x.dtype, shape: x.shape }]));
}

const exp = unary("Exp");
const log = unary("Log");
export const cos = unary("Cos");
export const sin = unary("Sin");
/** A copy, for a branch that returns a value of the graph around it. */
export const identity = unary("Identity");
/** Exact (erf) GELU. */
export const gelu = unary("Gelu");

/** Softmax over the last dimension. */
export function softmax(g: Graph, x: Value): Value {
  return one(g.node("Softmax", [x], [{ dtype: x.dtype, shape: x.shape }], { attributes: { axis: -1 } }));
}

/** x itself when it has the type already. */
export function cast(g: Graph, x: Value, dtype: DataType): Value {
  if (x.dtype === dtype) return x;
  return one(g.node("Cast", [x], [{ dtype, shape: x.shape }], { attributes: { to: onnxTypeCode[dtype] } }));
}

/** x [..., K] · w [K, N] */
export function matMul(g: Graph, x: Value, w: Value): Value {
  assert(x.dtype === w.dtype && lastDim(x) === w.shape[0], `MatMul wants [*, ${w.shape[0]}] of ${w.dtype}, got ${show(x)}`);
  return one(g.node("MatMul", [x, w], [{ dtype: x.dtype, shape: [...x.shape.slice(0, -1), w.shape[1]!] }]));
}

/** x [R, K] · w [N, K] transposed */
export function matMulTransposed(g: Graph, x: Value, w: Value): Value {
  assert(x.shape.length === 2 && lastDim(x) === w.shape[1], `Gemm wants [*, ${w.shape[1]}], got ${show(x)}`);
  return one(g.node("Gemm", [x, w], [{ dtype: x.dtype, shape: [x.shape[0]!, w.shape[0]!] }], { attributes: { transB: 1 } }));
}

/** `target` as ONNX has it: 0 keeps a dimension, −1 is what remains. `shape` says what comes out. */
export function reshape(g: Graph, x: Value, target: readonly number[], shape: readonly Dim[]): Value {
  return one(g.node("Reshape", [x, int64s(g, target)], [{ dtype: x.dtype, shape }]));
}

/** Axis i of the result is axis `permutation[i]` of x. */
export function transpose(g: Graph, x: Value, permutation: readonly number[]): Value {
  const shape = permutation.map((axis) => x.shape[axis]!);
  return one(g.node("Transpose", [x], [{ dtype: x.dtype, shape }], { attributes: { perm: permutation } }));
}

/** Rows of `data` along `axis`; the shape of `indices` takes the place of that axis. */
export function gather(g: Graph, data: Value, indices: Value, axis = 0): Value {
  const shape = [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)];
  return one(g.node("Gather", [data, indices], [{ dtype: data.dtype, shape }], { attributes: { axis } }));
}

/** data[..., indices[..., j]] along the last dimension. */
export function gatherElements(g: Graph, data: Value, indices: Value): Value {
  return one(g.node("GatherElements", [data, indices], [{ dtype: data.dtype, shape: indices.shape }], { attributes: { axis: -1 } }));
}

/** `data` with data[..., indices[..., j]] = updates[..., j] along the last dimension. */
export function scatterElements(g: Graph, data: Value, indices: Value, updates: Value): Value {
  return one(g.node("ScatterElements", [data, indices, updates], [{ dtype: data.dtype, shape: data.shape }], { attributes: { axis: -1 } }));
}

/** Largest `k` of the last dimension, descending; equal values by lower index first. */
export function topK(g: Graph, x: Value, k: number): { values: Value; indices: Value } {
  const shape = [...x.shape.slice(0, -1), k];
  const outputs = [
    { dtype: x.dtype, shape },
    { dtype: "int64" as const, shape },
  ];
  const [values, indices] = g.node("TopK", [x, int64s(g, [k])], outputs, { attributes: { axis: -1 } });
  return { values: values!, indices: indices! };
}

/** Parts of the last dimension, which the sizes add up to. */
export function split(g: Graph, x: Value, sizes: readonly number[]): Value[] {
  assert(lastDim(x) === sizes.reduce((a, b) => a + b, 0), `Split into ${sizes.join("+")} of ${show(x)}`);
  const outputs = sizes.map((size) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, -1), size] }));
  return g.node("Split", [x, int64s(g, sizes)], outputs, { attributes: { axis: -1 } });
}

/** Along the last dimension. */
export function concat(g: Graph, parts: readonly Value[]): Value {
  const width = parts.reduce((sum, part) => sum + Number(lastDim(part)), 0);
  const first = parts[0]!;
  return one(g.node("Concat", parts, [{ dtype: first.dtype, shape: [...first.shape.slice(0, -1), width] }], { attributes: { axis: -1 } }));
}

/** Elements of a where the condition (bool) holds, else of b; all three broadcast, the condition to no more than a and b. */
export function where(g: Graph, condition: Value, a: Value, b: Value): Value {
  return one(g.node("Where", [condition, a, b], [{ dtype: a.dtype, shape: broadcast(a, b, "Where") }]));
}

/** bool, of the shape that a and b broadcast to. */
export function greaterOrEqual(g: Graph, a: Value, b: Value): Value {
  return one(g.node("GreaterOrEqual", [a, b], [{ dtype: "bool", shape: broadcast(a, b, "GreaterOrEqual") }]));
}

/** A new dimension of 1 in the result's place `axis`; negative ones count from the end. */
export function unsqueeze(g: Graph, x: Value, axis: number): Value {
  const shape = [...x.shape];
  shape.splice(axis < 0 ? shape.length + 1 + axis : axis, 0, 1);
  return one(g.node("Unsqueeze", [x, int64s(g, [axis])], [{ dtype: x.dtype, shape }]));
}

/** Over the last dimension; weight and bias [C]. */
export function layerNorm(g: Graph, x: Value, weight: Value, bias: Value, epsilon: number): Value {
  const attributes = { axis: -1, epsilon: { float: epsilon } };
  return one(g.node("LayerNormalization", [x, weight, bias], [{ dtype: x.dtype, shape: x.shape }], { attributes }));
}

/**
 * log Σ exp over the last dimension, kept as size 1; `largest` is its largest element. In steps, because the CUDA kernels of
 * ReduceLogSumExp and ReduceMax need cuDNN.
 */
export function logSumExp(g: Graph, x: Value, largest: Value): Value {
  const powers = exp(g, sub(g, x, largest));
  const reduced = { dtype: x.dtype, shape: largest.shape };
  const sum = one(g.node("ReduceSum", [powers, int64s(g, [-1])], [reduced], { attributes: { keepdims: 1 } }));
  return add(g, log(g, sum), largest);
}

/** Full attention inside each batch row; q, k, v [F, N, heads · headDim]. */
export function fullAttention(g: Graph, q: Value, k: Value, v: Value, headCount: number): Value {
  const attributes = { q_num_heads: headCount, kv_num_heads: headCount };
  return one(g.node("Attention", [q, k, v], [{ dtype: q.dtype, shape: q.shape }], { attributes }));
}

/** x [B, S, heads · headDim] with cos and sin [B, S, headDim / 2]; adjacent pairs are rotated. */
export function rotaryEmbeddingPerToken(g: Graph, x: Value, cosines: Value, sines: Value, headCount: number): Value {
  const attributes = { interleaved: 1, num_heads: headCount };
  return one(g.node("RotaryEmbedding", [x, cosines, sines], [{ dtype: x.dtype, shape: x.shape }], { attributes }));
}

/** int64 [values] */
export function int64s(g: Graph, values: readonly number[]): Value {
  return g.constant("int64", [values.length], BigInt64Array.from(values.map(BigInt)));
}

/** int64 [] */
export function int64(g: Graph, value: number): Value {
  return g.constant("int64", [], BigInt64Array.of(BigInt(value)));
}

/** float32 [] */
export function float32(g: Graph, value: number): Value {
  return g.constant("float32", [], Float32Array.of(value));
}

export function zeros(g: Graph, dtype: DataType, shape: readonly number[]): Value {
  return g.constant(dtype, shape, new Uint8Array(elementCount(shape) * elementBytes[dtype]));
}
