// GroupQueryAttention gives the same bits for q, k and v in one tensor as for three, with both types of KV cache: what graphs with
// our own operators rely on.

import { afterAll, expect, test } from "vitest";
import { Graph } from "../../src/convert/onnx/graph.ts";
import { groupQueryAttention, type Qkv } from "../../src/convert/onnx/microsoft-ops.ts";
import { encodeModel } from "../../src/convert/onnx/model-file.ts";
import { split } from "../../src/convert/onnx/std-ops.ts";
import { randomUnit } from "../../src/model/draw-token.ts";
import { TensorBuffer } from "../../src/model/tensor-buffer.ts";
import { Runtime } from "../../src/runtime/runtime.ts";

type CacheType = "float32" | "int8";

const headDim = 16;
const heads = { query: 10, kv: 2 };
const [queryWidth, kvWidth] = [heads.query * headDim, heads.kv * headDim];
const width = queryWidth + 2 * kvWidth;
const [capacity, slotCount, mostTokens] = [24, 3, 12];
const runtime = new Runtime();

afterAll(() => runtime.dispose());

function graphOf(cacheType: CacheType, isPacked: boolean): Graph {
  const g = new Graph();
  const qkv = g.input("qkv", "float32", ["batch", "sequence", width]);
  const cacheShape = ["batch", heads.kv, "capacity", headDim];
  const scale = (name: string) => g.input(name, "float32", [1, heads.kv, 1, headDim]);
  const cache = {
    pastKey: g.input("past_key", cacheType, cacheShape),
    pastValue: g.input("past_value", cacheType, cacheShape),
    presentKey: "present_key",
    presentValue: "present_value",
    ...(cacheType === "int8" && { scales: { key: scale("key_scale"), value: scale("value_scale") } }),
  };
  const lengths = { seqlensK: g.input("seqlens_k", "int32", ["batch"]), total: g.input("total", "int32", []) };
  const given = isPacked ? [qkv] : split(g, qkv, [queryWidth, kvWidth, kvWidth]);
  const { attended, presentKey, presentValue } = groupQueryAttention(g, given as unknown as Qkv, cache, lengths, heads);
  for (const value of [attended, presentKey, presentValue]) g.directOutput(value);
  return g;
}

/** Appends to the first slots and gives what comes out, and what the cache holds then. */
function openAttention(cacheType: CacheType, isPacked: boolean) {
  const session = runtime.openSession(encodeModel(graphOf(cacheType, isPacked), "none", "attention"), { threadCount: 2 });
  const binding = session.createBinding();
  const cacheElements = slotCount * capacity * kvWidth;
  const buffers = {
    qkv: new TensorBuffer(runtime, "float32", mostTokens * width),
    attended: new TensorBuffer(runtime, "float32", mostTokens * queryWidth),
    key: new TensorBuffer(runtime, cacheType, cacheElements),
    value: new TensorBuffer(runtime, cacheType, cacheElements),
    scale: new TensorBuffer(runtime, "float32", kvWidth),
    seqlens: new TensorBuffer(runtime, "int32", slotCount),
    total: new TensorBuffer(runtime, "int32", 1),
  };
  buffers.key.data.fill(0);
  buffers.value.data.fill(0);
  buffers.scale.data.set(Array.from({ length: kvWidth }, (_, c) => 0.01 + c / 1000));
  const run = (qkv: Float32Array, count: number, lengths: readonly number[]) => {
    const batch = lengths.length;
    buffers.qkv.data.set(qkv);
    buffers.seqlens.data.set(lengths.map((length) => length - 1));
    buffers.total.data[0] = Math.max(...lengths);
    binding.input("qkv", buffers.qkv.shaped(batch, count, width));
    for (const name of ["key", "value"] as const) {
      const slots = buffers[name].shaped(batch, heads.kv, capacity, headDim);
      binding.input(`past_${name}`, slots);
      binding.output(`present_${name}`, slots);
      if (cacheType === "int8") binding.input(`${name}_scale`, buffers.scale.shaped(1, heads.kv, 1, headDim));
    }
    binding.input("seqlens_k", buffers.seqlens.shaped(batch));
    binding.input("total", buffers.total.shaped());
    binding.output("attended", buffers.attended.shaped(batch, count, queryWidth));
    binding.run();
    return [buffers.attended.data.slice(0, batch * count * queryWidth), buffers.key.data.slice(), buffers.value.data.slice()];
  };
  const dispose = () => {
    for (const owned of [binding, session, ...Object.values(buffers)]) owned.dispose();
  };
  return { run, dispose };
}

test.each(["float32", "int8"] as const)("a prompt in two chunks, then a batch of different lengths, with a cache of %s", (cacheType) => {
  const packed = openAttention(cacheType, true);
  const apart = openAttention(cacheType, false);
  let drawn = 0;
  const steps: [count: number, lengths: number[]][] = [
    [7, [7]],
    [5, [12]],
    [1, [13, 1, 1]],
    [1, [14, 2, 2]],
  ];
  for (const [count, lengths] of steps) {
    const qkv = Float32Array.from({ length: lengths.length * count * width }, () => 4 * (randomUnit(5, drawn++) - 0.5));

    const results = packed.run(qkv, count, lengths);

    expect(results).toEqual(apart.run(qkv, count, lengths));
    expect(results[0]!.some((value) => Math.abs(value) > 0.1)).toBe(true);
  }
  packed.dispose();
  apart.dispose();
});
