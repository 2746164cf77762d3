// Times the linear layers of the 28B on the CPU as the converter writes them with our operators and without, in turns in one run:
// `tsx scripts/kernels/bench-linear.ts [--threads N] [--tokens LIST]`. Needs npm run kernels:build; the machine should be idle.

import { randomFillSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { linear } from "../../src/convert/blocks/linear.ts";
import { gatedMlp } from "../../src/convert/blocks/mlp.ts";
import { Weights } from "../../src/convert/blocks/weights.ts";
import { Graph, type Value } from "../../src/convert/onnx/graph.ts";
import { encodeModel, externalDataBytes, placePieces } from "../../src/convert/onnx/model-file.ts";
import { toFloat16 } from "../../src/core/half.ts";
import { TensorBuffer } from "../../src/model/tensor-buffer.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { Runtime } from "../../src/runtime/runtime.ts";

const hidden = 2560;
const layers: Record<string, (g: Graph, x: Value, w: Weights) => Value> = {
  "attention's qkv, 3584 rows": (g, x, w) => linear(g, x, { parts: [{ name: "qkv", rows: 3584 }], columns: hidden, bits: 8 }, w),
  "an MLP as wide as the shared experts, 3072": (g, x, w) =>
    gatedMlp(g, x, { prefix: "shared", hiddenSize: hidden, width: 3072, bits: 8 }, w),
  "dense layer, width 12288": (g, x, w) => gatedMlp(g, x, { prefix: "dense", hiddenSize: hidden, width: 12288, bits: 8 }, w),
};
const operators = { own: "modality-moe", onnxruntime: undefined } as const;

const { values: flags } = parseArgs({
  options: { threads: { type: "string", default: "2" }, tokens: { type: "string", default: "1,16,128" } },
});
const library = findKernelLibrary();
if (!library) throw new Error("the kernels are not built; run npm run kernels:build");
const otherMemory = new Uint8Array(2 ** 27);
const folder = mkdtempSync(join(tmpdir(), "linear-bench-"));
const runtime = new Runtime();
console.log("| layer | tokens | ours, ms | GB/s of weights | ONNX Runtime's, ms | ours / ONNX Runtime's |\n|---|---|---|---|---|---|");
try {
  for (const [name, build] of Object.entries(layers)) {
    const [own, theirs] = Object.values(operators).map((experts) =>
      open(build, new Weights({ weights: "int4", activations: "fp32", ...(experts && { experts }) })),
    );
    for (const tokens of flags.tokens.split(",").map(Number)) {
      const [ms, theirMs] = timesInTurns([own!, theirs!], tokens);
      const rate = own!.weightBytes / ms! / 1e6;
      console.log(`| ${[name, tokens, ms!.toFixed(2), rate.toFixed(1), theirMs!.toFixed(2), (ms! / theirMs!).toFixed(2)].join(" | ")} |`);
    }
    for (const { session } of [own!, theirs!]) session.dispose();
  }
} finally {
  rmSync(folder, { recursive: true });
}

/** A session on random weights. */
function open(build: (typeof layers)[string], weights: Weights) {
  const graph = new Graph();
  const y = build(graph, graph.input("x", "float32", ["tokens", hidden]), weights);
  graph.output("y", y);
  const path = join(mkdtempSync(join(folder, "graph-")), "graph.onnx");
  const data = new Uint8Array(externalDataBytes(graph));
  const external = graph.productions.flatMap((production) => production.pieces.map(() => production.weights.map(({ dtype }) => dtype)));
  placePieces(graph).forEach(({ targets }, i) => {
    targets.forEach(({ offset, byteLength }, k) => fill(data.subarray(offset, offset + byteLength), external[i]![k]!));
  });
  writeFileSync(`${path}.data`, data);
  writeFileSync(path, encodeModel(graph, "graph.onnx.data", "bench"));
  const session = runtime.openSession(path, { threadCount: Number(flags.threads), customOpsLibrary: library! });
  return { session, weightBytes: data.length, rows: Number(y.shape[1]) };
}

/** Codes are any bytes, scales numbers near 0.003. */
function fill(bytes: Uint8Array, dtype: Value["dtype"]): void {
  if (dtype === "uint8") return void randomFillSync(bytes);
  const scales = Float32Array.from({ length: bytes.length / (dtype === "float16" ? 2 : 4) }, () => 0.002 + 0.002 * Math.random());
  bytes.set(new Uint8Array(dtype === "float16" ? toFloat16(scales).buffer : scales.buffer));
}

/** Median milliseconds of each session, one run of each per round. In between other memory is written, or small layers would be read from cache. */
function timesInTurns(graphs: readonly ReturnType<typeof open>[], tokens: number): number[] {
  const [x, y] = [new TensorBuffer(runtime, "float32", tokens * hidden), new TensorBuffer(runtime, "float32", tokens * 4096)];
  x.data.set(Float32Array.from(x.data, () => 4 * Math.random() - 2));
  const runs = graphs.map(({ session, rows }) => {
    const binding = session.createBinding();
    binding.input("x", x.shaped(tokens, hidden));
    binding.output("y", y.shaped(tokens, rows));
    return { binding, times: [] as number[] };
  });
  const rounds = Math.max(15, Math.round(200 / tokens));
  for (let round = -2; round < rounds; round++) {
    for (const { binding, times } of runs) {
      otherMemory.fill(round);
      const start = performance.now();
      binding.run();
      if (round >= 0) times.push(performance.now() - start);
    }
  }
  for (const { binding } of runs) binding.dispose();
  for (const buffer of [x, y]) buffer.dispose();
  return runs.map(({ times }) => times.toSorted((a, b) => a - b)[times.length >> 1]!);
}
