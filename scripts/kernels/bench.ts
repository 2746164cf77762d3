// npm run kernels:bench: times ModalityMoe on the CPU at the 28B's layer size in comparison to QMoE, a MatMulNBits of as
// many weights as one token needs, a plain read of memory, and each instruction set on a tile in cache. The machine should be idle.

import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { wholeNumber } from "../../src/cli/options.ts";
import { toFloat16 } from "../../src/core/half.ts";
import type { DataType } from "../../src/core/data-type.ts";
import { Graph, type Value } from "../../src/convert/onnx/graph.ts";
import { modalityMoe, tiledShapes, type TiledExperts } from "../../src/convert/onnx/custom-ops.ts";
import { matMulNBits, mixtureOfExperts } from "../../src/convert/onnx/microsoft-ops.ts";
import { encodeModel, externalDataBytes, placePieces } from "../../src/convert/onnx/model-file.ts";
import { TensorBuffer } from "../../src/model/tensor-buffer.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import type { Binding, Session } from "../../src/runtime/session.ts";

const [hidden, experts, topK] = [2560, 64, 6];
const widths = { text: 1536, vision: 512 };
const root = fileURLToPath(new URL("../..", import.meta.url));
const build = join(root, "kernels", "build");
const warmUpRounds = 2;

type Case = { readonly op: string; readonly tokens: number; readonly kind: "text" | "vision" | "mixed"; readonly bits: 4 | 8 };
type Result = Case & { medianMs: number; bestMs: number; weightBytes: number; gigabytesPerSecond: number };
/** Medians for a batch of both banks and for its text and vision tokens alone, measured in turns in every round. */
type MixedResult = { readonly bits: 4 | 8; readonly tokens: number; mixedMs: number; textMs: number; visionMs: number; ratio: number };
type Bound = { readonly binding: Binding; readonly buffers: ReadonlyMap<string, TensorBuffer> };

const { threads: threadCount, out } = new Command("kernels:bench")
  .description("Times ModalityMoe on the CPU at the 28B's layer size, beside ONNX Runtime's operators. The machine should be idle.")
  .option("--threads <n>", "CPU threads", wholeNumber(1, 1024), 2)
  .option("--out <file>", "the result as JSON", join(root, "bench", "results", "modality-moe-cpu.json"))
  .parse()
  .opts<{ threads: number; out: string }>();
const folder = mkdtempSync(join(tmpdir(), "moe-bench-"));
const runtime = new Runtime();
const results: Result[] = [];
const mixedResults: MixedResult[] = [];
try {
  const tiles = tileProducts();
  const read = [plainRead()];
  for (const bits of [4, 8] as const) {
    measure(`ModalityMoe int${bits}`, bits, moeGraph(bits), [1, 4, 16, 128], ["text", "vision", "mixed"]);
    read.push(plainRead());
  }
  measure("QMoE int4, text bank alone", 4, qmoeGraph(), [1, 16, 128], ["text"]);
  measure("MatMulNBits int4, 6 experts' worth", 4, matrixGraph(), [1, 16, 128], ["text"]);
  read.push(plainRead());
  report(read, tiles);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function measure(op: string, bits: 4 | 8, graph: Graph, tokenCounts: readonly number[], kinds: readonly Case["kind"][]): void {
  const path = join(folder, "graph.onnx");
  writeGraph(graph, path);
  const session = runtime.openSession(path, { threadCount, customOpsLibrary: join(build, "libernie_kernels.so") });
  for (const tokens of tokenCounts) {
    for (const kind of kinds) {
      if (kind === "mixed" && tokens === 1) continue;
      results.push(time({ op, tokens, kind, bits }, graph, session));
      console.log(line(results[results.length - 1]!));
    }
    if (!kinds.includes("mixed") || tokens === 1) continue;
    const mixed = timeMixed(bits, tokens, graph, session);
    mixedResults.push(mixed);
    console.log(
      `${op}, T=${tokens} mixed: ${mixed.ratio.toFixed(2)} times its ${tokens / 2} text and its ${tokens / 2} vision tokens alone`,
    );
  }
  session.dispose();
}

function time(run: Case, graph: Graph, session: Session): Result {
  const bound = bind(graph, session, run.tokens);
  const times: number[] = [];
  for (let round = -warmUpRounds; round < roundsOf(run.tokens); round++) {
    for (const { name, dtype } of graph.inputs) fill(bound.buffers.get(name)!.data, dtype, run.kind);
    const ms = runMs(bound);
    if (round >= 0) times.push(ms);
  }
  release(bound);
  const [medianMs, bytes] = [median(times), weightBytes(run)];
  return { ...run, medianMs, bestMs: Math.min(...times), weightBytes: bytes, gigabytesPerSecond: bytes / medianMs / 1e6 };
}

/** `tokens` must be even. Each round has new activations; the parts get the same rows as the whole. */
function timeMixed(bits: 4 | 8, tokens: number, graph: Graph, session: Session): MixedResult {
  const whole = bind(graph, session, tokens);
  const parts = [bind(graph, session, tokens / 2), bind(graph, session, tokens / 2)] as const;
  const times: { mixed: number; text: number; vision: number }[] = [];
  for (let round = -warmUpRounds; round < 2 * roundsOf(tokens); round++) {
    for (const { name, dtype } of graph.inputs) fill(whole.buffers.get(name)!.data, dtype, "mixed");
    parts.forEach((part, bank) => copyBank(whole, part, bank));
    const ms = new Map(rotated([whole, ...parts], round).map((bound) => [bound, runMs(bound)]));
    if (round >= 0) times.push({ mixed: ms.get(whole)!, text: ms.get(parts[0])!, vision: ms.get(parts[1])! });
  }
  for (const bound of [whole, ...parts]) release(bound);
  const [mixedMs, textMs, visionMs] = (["mixed", "text", "vision"] as const).map((key) => median(times.map((t) => t[key])));
  const ratio = median(times.map((t) => t.mixed / (t.text + t.vision)));
  return { bits, tokens, mixedMs: mixedMs!, textMs: textMs!, visionMs: visionMs!, ratio };
}

/** Every second token belongs to the vision bank, as `fill` has it. */
function copyBank(whole: Bound, part: Bound, bank: number): void {
  const [from, to] = [whole.buffers.get("x")!.data as Float32Array, part.buffers.get("x")!.data as Float32Array];
  for (let t = 0; t * hidden < to.length; t++) to.set(from.subarray((2 * t + bank) * hidden, (2 * t + bank + 1) * hidden), t * hidden);
  (part.buffers.get("vision_expert")!.data as Uint8Array).fill(bank);
}

function bind(graph: Graph, session: Session, tokens: number): Bound {
  const binding = session.createBinding();
  const buffers = new Map<string, TensorBuffer>();
  for (const { name, dtype, shape } of [...graph.inputs, ...graph.outputs]) {
    const sizes = shape.map((dimension) => (typeof dimension === "number" ? dimension : tokens));
    const count = sizes.reduce((a, b) => a * b, 1);
    const buffer = new TensorBuffer(runtime, dtype, count);
    buffers.set(name, buffer);
    if (graph.inputs.some((input) => input.name === name)) binding.input(name, buffer.shaped(...sizes));
    else binding.output(name, buffer.shaped(...sizes));
  }
  return { binding, buffers };
}

function release({ binding, buffers }: Bound): void {
  binding.dispose();
  for (const buffer of buffers.values()) buffer.dispose();
}

function runMs({ binding }: Bound): number {
  const start = performance.now();
  binding.run();
  return performance.now() - start;
}

function roundsOf(tokens: number): number {
  return tokens <= 4 ? 40 : 8;
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const at = ((by % items.length) + items.length) % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** New activations each round, so that other experts are chosen and caches do not help. */
function fill(data: TensorBuffer["data"], dtype: DataType, kind: Case["kind"]): void {
  for (let i = 0; i < data.length; i++) {
    data[i] = (dtype === "bool" ? Number(kind === "vision" || (kind === "mixed" && i % 2 === 1)) : 4 * Math.random() - 2) as never;
  }
}

/** The least bytes of codes and scales to read, for the expected number of different experts (uniform routing). */
function weightBytes({ op, tokens, kind, bits }: Case): number {
  const scaleBytes = op.startsWith("ModalityMoe") ? 2 : 4;
  const perExpert = (width: number) => 3 * hidden * width * (bits / 8 + scaleBytes / 32);
  const needed = (count: number) => experts * (1 - (1 - topK / experts) ** count);
  if (op.startsWith("MatMul")) return topK * perExpert(widths.text);
  if (kind !== "mixed") return needed(tokens) * perExpert(widths[kind]);
  return needed(tokens / 2) * (perExpert(widths.text) + perExpert(widths.vision));
}

function randomWeight(g: Graph, name: string, dtype: "uint8" | "float16" | "float32", shape: readonly number[]): Value {
  const rows = shape[0]!;
  const count = shape.slice(1).reduce((a, b) => a * b, 1);
  const encode = (): Uint8Array[] => {
    if (dtype === "uint8") return [randomFillSync(new Uint8Array(count))];
    const scales = Float32Array.from({ length: count }, () => 0.002 + 0.002 * Math.random());
    const encoded = dtype === "float16" ? toFloat16(scales) : scales;
    return [new Uint8Array(encoded.buffer)];
  };
  return g.weight(
    name,
    dtype,
    shape,
    Array.from({ length: rows }, () => ({ rows: 1, reads: [], encode })),
  );
}

function moeGraph(bits: 4 | 8): Graph {
  const g = new Graph();
  const x = g.input("x", "float32", ["tokens", hidden]);
  const visionExpert = g.input("vision_expert", "bool", ["tokens"]);
  const router = {
    weight: randomRouter(g, [2, experts, hidden]),
    correctionBias: g.constant("float32", [2, experts], new Float32Array(2 * experts)),
  };
  const bank = (name: "text" | "vision"): TiledExperts => {
    const gateUp = tiledShapes([experts], 2 * widths[name], hidden, bits);
    const down = tiledShapes([experts], hidden, widths[name], bits);
    return {
      gateUp: randomWeight(g, `${name}.gate_up`, "uint8", gateUp.codes),
      gateUpScales: randomWeight(g, `${name}.gate_up_scales`, "float16", gateUp.scales),
      down: randomWeight(g, `${name}.down`, "uint8", down.codes),
      downScales: randomWeight(g, `${name}.down_scales`, "float16", down.scales),
    };
  };
  g.output("y", modalityMoe(g, { x, visionExpert }, router, { text: bank("text"), vision: bank("vision") }, { topK, normMin: 1e-12 }).y);
  return g;
}

function randomRouter(g: Graph, shape: readonly number[]): Value {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 0.1 * Math.random() - 0.05);
  return g.constant("float32", shape, values);
}

function qmoeGraph(): Graph {
  const g = new Graph();
  const x = g.input("x", "float32", ["tokens", hidden]);
  const logits = g.input("logits", "float32", ["tokens", experts]);
  const width = widths.text;
  const weights = {
    type: "quantized",
    bits: 4,
    gateUp: randomWeight(g, "gate_up", "uint8", [experts, 2 * width, hidden / 2]),
    gateUpScales: randomWeight(g, "gate_up_scales", "float32", [experts, 2 * width, hidden / 32]),
    down: randomWeight(g, "down", "uint8", [experts, hidden, width / 2]),
    downScales: randomWeight(g, "down_scales", "float32", [experts, hidden, width / 32]),
  } as const;
  g.output("y", mixtureOfExperts(g, x, logits, weights, topK));
  return g;
}

/** As many weights as the experts of one text token. */
function matrixGraph(): Graph {
  const g = new Graph();
  const x = g.input("x", "float32", ["tokens", hidden]);
  const rows = topK * 3 * widths.text;
  const data = randomWeight(g, "data", "uint8", [rows, hidden / 32, 16]);
  const scales = randomWeight(g, "scales", "float32", [rows, hidden / 32]);
  g.output("y", matMulNBits(g, x, { bits: 4, rows, columns: hidden, data, scales }));
  return g;
}

function writeGraph(graph: Graph, path: string): void {
  writeFileSync(path, encodeModel(graph, "graph.data", "bench"));
  const file = openSync(join(folder, "graph.data"), "w");
  ftruncateSync(file, externalDataBytes(graph));
  for (const { piece, targets } of placePieces(graph)) {
    piece.encode([]).forEach((bytes, i) => writeSync(file, bytes, 0, bytes.length, targets[i]!.offset));
  }
  closeSync(file);
}

/** Builds and runs a program of kernels/bench; returns its output. */
function runProgram(name: string, sources: readonly string[], args: readonly string[]): string {
  const program = join(build, name);
  mkdirSync(build, { recursive: true });
  const files = [`bench/${name}.cc`, ...sources].map((file) => join(root, "kernels", file));
  execFileSync("g++", ["-O3", "-std=c++17", "-pthread", ...files, "-o", program]);
  return execFileSync(program, args, { encoding: "utf8" });
}

/** GOP/s of one thread. */
function tileProducts(): Record<string, number> {
  const sources = ["lanes", "portable", "avx2", "avx_vnni", "avx512", "neon"].map((name) => `common/cpu_${name}.cc`);
  const printed = runProgram("tile_dot", sources, ["30"]);
  console.log(`one tile in cache, one thread, GOP/s:\n${printed}`);
  const lines = printed.trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split(": ")).map(([name, value]) => [name!.replace(/ +/g, " "), Number(value)]));
}

function plainRead(): { median: number; best: number } {
  const [median, best] = runProgram("plain_read", [], [String(400e6), String(threadCount), "15"])
    .split(" ")
    .map(Number);
  console.log(`plain read, ${threadCount} threads: median ${median} GB/s, best ${best} GB/s`);
  return { median: median!, best: best! };
}

function line({ op, tokens, kind, medianMs, bestMs, gigabytesPerSecond }: Result): string {
  return `${op}, T=${tokens} ${kind}: median ${medianMs.toFixed(2)} ms, best ${bestMs.toFixed(2)} ms, ${gigabytesPerSecond.toFixed(1)} GB/s`;
}

function report(plainReads: readonly { median: number; best: number }[], tiles: Record<string, number>): void {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}`;
  const header = { date: new Date().toISOString(), commit: git("rev-parse", "--short", "HEAD"), machine, threadCount };
  const sizes = { hidden, experts, topK, widths };
  const command = `tsx scripts/kernels/bench.ts --threads ${threadCount}`;
  const measured = { tileGigaOpsPerSecond: tiles, plainReadGigabytesPerSecond: plainReads, results, mixedResults };
  const text = JSON.stringify({ ...header, command, sizes, ...measured }, undefined, 2);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, `${text}\n`);
}
