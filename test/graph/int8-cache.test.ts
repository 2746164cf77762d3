// GroupQueryAttention over an int8 KV cache, as ONNX Runtime computes it, against the same in plain loops.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Graph } from "../../src/convert/onnx/graph.ts";
import { groupQueryAttention } from "../../src/convert/onnx/microsoft-ops.ts";
import { encodeModel } from "../../src/convert/onnx/model-file.ts";
import { randomUnit } from "../../src/model/draw-token.ts";
import { TensorBuffer } from "../../src/model/tensor-buffer.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const headDim = 16;
const heads = { query: 10, kv: 2 };
const capacity = 24;
const [queryWidth, kvWidth] = [heads.query * headDim, heads.kv * headDim];
const work = temporaryFolder();

function openAttention(runtime: Runtime) {
  const g = new Graph();
  const perToken = (name: string, width: number) => g.input(name, "float32", ["batch", "sequence", width]);
  const cacheShape = ["batch", heads.kv, "capacity", headDim];
  const scale = (name: string) => g.input(name, "float32", [1, heads.kv, 1, headDim]);
  const cache = {
    pastKey: g.input("past_key", "int8", cacheShape),
    pastValue: g.input("past_value", "int8", cacheShape),
    presentKey: "present_key",
    presentValue: "present_value",
    scales: { key: scale("key_scale"), value: scale("value_scale") },
  };
  const lengths = { seqlensK: g.input("seqlens_k", "int32", ["batch"]), total: g.input("total", "int32", []) };
  const qkv = [perToken("q", queryWidth), perToken("k", kvWidth), perToken("v", kvWidth)] as const;
  const { attended, presentKey, presentValue } = groupQueryAttention(g, qkv, cache, lengths, heads);
  for (const value of [attended, presentKey, presentValue]) g.directOutput(value);
  writeFileSync(join(work, "attention.onnx"), encodeModel(g, "none", "attention"));
  return runtime.openSession(join(work, "attention.onnx"), { threadCount: 1 });
}

let drawn = 0;
const random = (count: number) => Float32Array.from({ length: count }, () => 4 * (randomUnit(7, drawn++) - 0.5));

/** What the integers of a cache stand for; [tokens, kvWidth]. */
type Sequence = { keys: number[][]; values: number[][] };

const scales = { key: random(kvWidth).map((x) => (Math.abs(x) + 0.5) / 100), value: random(kvWidth).map((x) => (Math.abs(x) + 0.5) / 100) };

function stored(row: Float32Array, scale: Float32Array): number[] {
  return [...row].map((x, c) => Math.min(127, Math.max(-128, Math.round(x / scale[c]!))) * scale[c]!);
}

/** The output [queryWidth] for one query over the first `length` tokens. */
function attend(q: Float32Array, { keys, values }: Sequence, length: number): number[] {
  return Array.from({ length: heads.query }, (_, head) => {
    const first = Math.floor(head / (heads.query / heads.kv)) * headDim;
    const dot = (key: number[]) =>
      key.slice(first, first + headDim).reduce((sum, x, i) => sum + x * q[head * headDim + i]!, 0) / Math.sqrt(headDim);
    const weights = keys.slice(0, length).map((key) => Math.exp(dot(key)));
    const total = weights.reduce((a, b) => a + b, 0);
    return Array.from({ length: headDim }, (_, i) => weights.reduce((sum, w, t) => sum + (w / total) * values[t]![first + i]!, 0));
  }).flat();
}

test("a prompt in two chunks and a batch of two slots give what the rounded keys and values give", () => {
  const runtime = new Runtime();
  const session = openAttention(runtime);
  const cacheElements = 2 * heads.kv * capacity * headDim;
  const buffers = {
    q: new TensorBuffer(runtime, "float32", 12 * queryWidth),
    k: new TensorBuffer(runtime, "float32", 12 * kvWidth),
    v: new TensorBuffer(runtime, "float32", 12 * kvWidth),
    out: new TensorBuffer(runtime, "float32", 12 * queryWidth),
    keys: new TensorBuffer(runtime, "int8", cacheElements),
    values: new TensorBuffer(runtime, "int8", cacheElements),
    keyScale: new TensorBuffer(runtime, "float32", kvWidth),
    valueScale: new TensorBuffer(runtime, "float32", kvWidth),
    seqlens: new TensorBuffer(runtime, "int32", 2),
    total: new TensorBuffer(runtime, "int32", 1),
  };
  buffers.keyScale.data.set(scales.key);
  buffers.valueScale.data.set(scales.value);
  const binding = session.createBinding();
  const sequences: Sequence[] = [0, 1].map(() => ({ keys: [], values: [] }));

  /** Appends `count` tokens to each of the first `batch` sequences; returns the largest error of the outputs. */
  const run = (batch: number, count: number): number => {
    const [q, k, v] = [random(batch * count * queryWidth), random(batch * count * kvWidth), random(batch * count * kvWidth)];
    buffers.q.data.set(q);
    buffers.k.data.set(k);
    buffers.v.data.set(v);
    const row = (values: Float32Array, width: number, index: number) => values.subarray(index * width, (index + 1) * width);
    sequences.slice(0, batch).forEach(({ keys, values }, b) => {
      for (let i = b * count; i < (b + 1) * count; i++) {
        keys.push(stored(row(k, kvWidth, i), scales.key));
        values.push(stored(row(v, kvWidth, i), scales.value));
      }
      buffers.seqlens.data[b] = keys.length - 1;
    });
    buffers.total.data[0] = Math.max(...sequences.slice(0, batch).map(({ keys }) => keys.length));
    for (const name of ["q", "k", "v"] as const)
      binding.input(name, buffers[name].shaped(batch, count, name === "q" ? queryWidth : kvWidth));
    for (const [name, buffer] of [["key", buffers.keys] as const, ["value", buffers.values] as const]) {
      const slots = buffer.shaped(batch, heads.kv, capacity, headDim);
      binding.input(`past_${name}`, slots);
      binding.output(`present_${name}`, slots);
    }
    binding.input("key_scale", buffers.keyScale.shaped(1, heads.kv, 1, headDim));
    binding.input("value_scale", buffers.valueScale.shaped(1, heads.kv, 1, headDim));
    binding.input("seqlens_k", buffers.seqlens.shaped(batch));
    binding.input("total", buffers.total.shaped());
    binding.output("attended", buffers.out.shaped(batch, count, queryWidth));
    binding.run();
    const expected = sequences.slice(0, batch).flatMap((sequence, b) => {
      const before = sequence.keys.length - count;
      return Array.from({ length: count }, (_, i) => attend(row(q, queryWidth, b * count + i), sequence, before + i + 1)).flat();
    });
    return expected.reduce((worst, value, i) => Math.max(worst, Math.abs(value - buffers.out.data[i]!)), 0);
  };

  expect(run(1, 7)).toBeLessThan(1e-5);
  expect(run(1, 5)).toBeLessThan(1e-5);
  // The second slot has not seen a token yet; the first has twelve.
  expect(run(2, 1)).toBeLessThan(1e-5);
  expect(run(2, 1)).toBeLessThan(1e-5);
  binding.dispose();
  session.dispose();
});
