import { describe, expect, test } from "vitest";
import { buildSampler } from "../../src/convert/blocks/sampler.ts";
import { encodeModel } from "../../src/convert/onnx/model-file.ts";
import { samplerCandidates, samplerIo } from "../../src/core/graph-io.ts";
import { randomUnit } from "../../src/model/draw-token.ts";
import { TensorBuffer } from "../../src/model/tensor-buffer.ts";
import { Runtime } from "../../src/runtime/runtime.ts";

const runtime = new Runtime();

type Candidates = { readonly values: number[]; readonly tokenIds: number[]; readonly logSumExp: number };

/** What the graph says of each row of logits at temperature 1. */
function sample(logits: Float32Array, vocabSize: number, forGpu: boolean): Candidates[] {
  const rows = logits.length / vocabSize;
  const count = Math.min(samplerCandidates, vocabSize);
  const session = runtime.openSession(Buffer.from(encodeModel(buildSampler(vocabSize, forGpu), "none", "sampler")), { threadCount: 1 });
  const binding = session.createBinding();
  const input = new TensorBuffer(runtime, "float32", logits.length);
  const scale = new TensorBuffer(runtime, "float32", rows);
  const values = new TensorBuffer(runtime, "float32", rows * count);
  const ids = new TensorBuffer(runtime, "int64", rows * count);
  const sums = new TensorBuffer(runtime, "float32", rows);
  input.data.set(logits);
  scale.data.fill(1);
  binding.input(samplerIo.logits, input.shaped(rows, vocabSize));
  binding.input(samplerIo.inverseTemperature, scale.shaped(rows, 1));
  binding.output(samplerIo.values, values.shaped(rows, count));
  binding.output(samplerIo.tokenIds, ids.shaped(rows, count));
  binding.output(samplerIo.logSumExp, sums.shaped(rows, 1));
  binding.run();
  return Array.from({ length: rows }, (_, row) => ({
    values: [...values.data.subarray(row * count, (row + 1) * count)],
    tokenIds: [...ids.data.subarray(row * count, (row + 1) * count)].map(Number),
    logSumExp: sums.data[row]!,
  }));
}

/** The same by sorting: the largest first, of equal ones the lower id. */
function expected(row: Float32Array): Candidates {
  const order = Array.from(row, (_, id) => id).toSorted((a, b) => row[b]! - row[a]! || a - b);
  const tokenIds = order.slice(0, samplerCandidates);
  const sum = row.reduce((total, value) => total + Math.exp(value - row[order[0]!]!), 0);
  return { values: tokenIds.map((id) => row[id]!), tokenIds, logSumExp: row[order[0]!]! + Math.log(sum) };
}

describe("the sampler graph", () => {
  // As the 28B's is searched on a GPU, in 32 parts; in 2; in one because it does not divide, because it is small, and on a CPU.
  const cases = [
    { vocabSize: 103_424, forGpu: true },
    { vocabSize: 4096, forGpu: true },
    { vocabSize: 5001, forGpu: true },
    { vocabSize: 100, forGpu: true },
    { vocabSize: 103_424, forGpu: false },
  ];
  test.each(cases)("finds the largest logits, and their sum (%o)", ({ vocabSize, forGpu }) => {
    const few = Float32Array.from({ length: vocabSize }, (_, i) => Math.floor(40 * randomUnit(1, i)) / 4); // many are equal
    const many = Float32Array.from({ length: vocabSize }, (_, i) => 20 * randomUnit(2, i) - 10);
    const inOnePart = Float32Array.from({ length: vocabSize }, (_, i) => (i < 2 * samplerCandidates ? i : -1 - i));

    const found = sample(Float32Array.from([...few, ...many, ...inOnePart]), vocabSize, forGpu);

    for (const [i, row] of [few, many, inOnePart].entries()) {
      const { values, tokenIds, logSumExp } = expected(row);
      expect(found[i]!.values).toEqual(values);
      expect(found[i]!.tokenIds).toEqual(tokenIds);
      expect(found[i]!.logSumExp).toBeCloseTo(logSumExp, 4);
    }
  });
});
