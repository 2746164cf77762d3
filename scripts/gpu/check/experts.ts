// The routed experts alone, inside ONNX Runtime: our ModalityMoe beside its QMoE, at the 28B's layer sizes with made-up weights, for single tokens and prompts.

import { randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { elementCount, type DataType } from "../../../src/core/data-type.ts";
import { toBfloat16, toFloat16 } from "../../../src/core/half.ts";
import { activationDataType } from "../../../src/core/manifest.ts";
import { modalityMoe, tiledShapes, type TiledExperts } from "../../../src/convert/onnx/custom-ops.ts";
import { Graph, type Value } from "../../../src/convert/onnx/graph.ts";
import { mixtureOfExperts } from "../../../src/convert/onnx/microsoft-ops.ts";
import { encodeModel, placePieces } from "../../../src/convert/onnx/model-file.ts";
import { median } from "../../../src/loadgen/percentiles.ts";
import { TensorBuffer, DeviceBuffer } from "../../../src/model/tensor-buffer.ts";
import { findKernelLibrary } from "../../../src/runtime/kernel-library.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import type { Session } from "../../../src/runtime/session.ts";
import type { JobContext } from "../job.ts";
import { halfFormats } from "./settings.ts";

type Sizes = {
  readonly hidden: number;
  readonly experts: number;
  readonly topK: number;
  readonly widths: { readonly text: number; readonly vision: number };
  readonly tokens: readonly number[];
};

const full: Sizes = {
  hidden: 2560,
  experts: 64,
  topK: 6,
  widths: { text: 1536, vision: 512 },
  tokens: [1, 4, 16, 32, 128, 512, 2048, 8192],
};
const small: Sizes = { hidden: 256, experts: 8, topK: 2, widths: { text: 128, vision: 64 }, tokens: [1, 16] };

/** One after the other, each with weights of its own: those that a token needs of all four are more than a GPU's cache holds. */
const layerCount = 4;
/** From here on the launches of single kernels cost nothing beside them. */
const longestGraph = 32;
const blockLength = 32;

export type ExpertTime = {
  readonly operator: "ModalityMoe" | "QMoE";
  readonly tokens: number;
  /** Of one layer. */
  readonly microseconds: number;
  /** Codes and scales that are read at least, for uniform routing. */
  readonly weightBytes: number;
};

export function measureExperts({ device, isSmall, work, record, say, secondsLeft }: JobContext): void {
  const sizes = isSmall ? small : full;
  const dtype = activationDataType[halfFormats(device)[0]!];
  const runtime = Runtime.open(device);
  const library = findKernelLibrary();
  if (!library) throw new Error("kernels/build/libernie_kernels.so is not built: npm run kernels:build");
  const rows: ExpertTime[] = [];
  say(
    `int4, ${dtype}, hidden ${sizes.hidden}, widths ${sizes.widths.text} and ${sizes.widths.vision}, ${sizes.topK} of ${sizes.experts} experts:`,
  );
  for (const [operator, graph] of [
    ["ModalityMoe", modalityMoeGraph(sizes, dtype)],
    ["QMoE", qmoeGraph(sizes, dtype)],
  ] as const) {
    const session = runtime.openSession(writeGraph(graph, join(work, `experts-${operator}`)), {
      threadCount: 0,
      customOpsLibrary: library,
      capturesGraphs: true,
    });
    for (const tokens of sizes.tokens) {
      if (secondsLeft() < 5) return;
      const microseconds = time(runtime, session, graph, { tokens, isSmall });
      rows.push({ operator, tokens, microseconds, weightBytes: neededBytes(sizes, tokens) });
      record("experts", rows);
      const ours = rows.find((row) => row.operator === "ModalityMoe" && row.tokens === tokens)!;
      const compared = operator === "QMoE" ? `, ${(microseconds / ours.microseconds).toFixed(2)} times ModalityMoe's` : "";
      const speed = neededBytes(sizes, tokens) / microseconds / 1000;
      say(` ${operator}, ${tokens} tokens: ${microseconds.toFixed(1)} µs a layer, ${speed.toFixed(0)} GB/s of weights${compared}`);
    }
    session.dispose();
  }
}

/** Microseconds of a layer: of runs that are queued one behind the other, so that the device never waits for the host. */
function time(
  runtime: Runtime,
  session: Session,
  graph: Graph,
  { tokens, isSmall }: { readonly tokens: number; readonly isSmall: boolean },
): number {
  const { device } = runtime;
  const binding = session.createBinding();
  const buffers = [
    ...graph.inputs.map((value) => {
      const { buffer, shape } = allocate(runtime, value, tokens);
      fill(runtime, buffer, value.dtype, shape);
      binding.input(value.name, buffer.shaped(...shape));
      return buffer;
    }),
    ...graph.outputs.map((value) => {
      const { buffer, shape } = allocate(runtime, value, tokens);
      binding.output(value.name, buffer.shaped(...shape));
      return buffer;
    }),
  ];
  const isGraph = device.kind === "cuda" && tokens <= longestGraph;
  const run = (): void => (isGraph ? binding.runAsGraph(tokens) : binding.run());
  const runs = isSmall ? 2 : tokens <= longestGraph ? 50 : 4;
  const rounds = Array.from({ length: isSmall ? 3 : 9 }, () => {
    const start = performance.now();
    for (let i = 0; i < runs; i++) run();
    device.synchronize();
    return (1000 * (performance.now() - start)) / runs / layerCount;
  });
  binding.dispose();
  for (const buffer of buffers) buffer.dispose();
  // The first rounds choose kernels and record graphs.
  return median(rounds.slice(2));
}

function allocate(runtime: Runtime, { dtype, shape }: Value, tokens: number): { buffer: DeviceBuffer; shape: number[] } {
  const sizes = shape.map((dimension) => (typeof dimension === "number" ? dimension : tokens));
  return { buffer: DeviceBuffer.allocate(runtime, dtype, elementCount(sizes)), shape: sizes };
}

/** Values between -2 and 2; flags are zeros, which marks tokens of the text bank. */
function fill(runtime: Runtime, buffer: DeviceBuffer, dtype: DataType, shape: readonly number[]): void {
  const { device } = runtime;
  const host = new TensorBuffer(runtime, dtype, elementCount(shape));
  const values = Float32Array.from({ length: elementCount(shape) }, () => (dtype === "bool" ? 0 : 4 * Math.random() - 2));
  host.data.set((dtype === "bfloat16" ? toBfloat16(values) : dtype === "float16" ? toFloat16(values) : values) as never);
  device.copy({ memory: buffer.memory, offset: 0 }, { memory: host.memory, offset: 0 }, host.data.byteLength);
  device.synchronize();
  host.dispose();
}

/** int4 codes, and a 16-bit scale for each block, of the experts that are expected to be chosen. */
function neededBytes({ hidden, experts, topK, widths }: Sizes, tokens: number): number {
  const perExpert = 3 * hidden * widths.text * (1 / 2 + 2 / blockLength);
  return experts * (1 - (1 - topK / experts) ** tokens) * perExpert;
}

function modalityMoeGraph({ hidden, experts, topK, widths }: Sizes, dtype: DataType): Graph {
  const g = new Graph();
  let x = g.input("x", dtype, ["tokens", hidden]);
  const visionExpert = g.input("vision_expert", "bool", ["tokens"]);
  for (let layer = 0; layer < layerCount; layer++) {
    const uniform = Float32Array.from({ length: 2 * experts * hidden }, () => 0.1 * Math.random() - 0.05);
    const router = {
      weight: g.constant("float32", [2, experts, hidden], uniform),
      correctionBias: g.constant("float32", [2, experts], new Float32Array(2 * experts)),
    };
    const bank = (name: "text" | "vision"): TiledExperts => {
      const gateUp = tiledShapes([experts], 2 * widths[name], hidden, 4);
      const down = tiledShapes([experts], hidden, widths[name], 4);
      return {
        gateUp: madeUp(g, `${layer}.${name}.gate_up`, "uint8", gateUp.codes),
        gateUpScales: madeUp(g, `${layer}.${name}.gate_up_scales`, "float16", gateUp.scales),
        down: madeUp(g, `${layer}.${name}.down`, "uint8", down.codes),
        downScales: madeUp(g, `${layer}.${name}.down_scales`, "float16", down.scales),
      };
    };
    x = modalityMoe(g, { x, visionExpert }, router, { text: bank("text"), vision: bank("vision") }, { topK, normMin: 1e-12 }).y;
  }
  g.output("y", x);
  return g;
}

/** The text bank alone, and routed before: what ModalityMoe does besides is in its time only. */
function qmoeGraph({ hidden, experts, topK, widths }: Sizes, dtype: DataType): Graph {
  const g = new Graph();
  let x = g.input("x", dtype, ["tokens", hidden]);
  const logits = g.input("logits", dtype, ["tokens", experts]);
  const half = dtype === "bfloat16" ? "bfloat16" : "float16";
  for (let layer = 0; layer < layerCount; layer++) {
    const weights = {
      type: "quantized",
      bits: 4,
      gateUp: madeUp(g, `${layer}.gate_up`, "uint8", [experts, 2 * widths.text, hidden / 2]),
      gateUpScales: madeUp(g, `${layer}.gate_up_scales`, half, [experts, 2 * widths.text, hidden / blockLength]),
      down: madeUp(g, `${layer}.down`, "uint8", [experts, hidden, widths.text / 2]),
      downScales: madeUp(g, `${layer}.down_scales`, half, [experts, hidden, widths.text / blockLength]),
    } as const;
    x = mixtureOfExperts(g, x, logits, weights, topK);
  }
  g.output("y", x);
  return g;
}

/** One expert after the other, all with the same numbers: random codes, small scales. */
function madeUp(g: Graph, name: string, dtype: "uint8" | "float16" | "bfloat16", shape: readonly number[]): Value {
  const count = elementCount(shape.slice(1));
  const scales = (): Uint16Array => {
    const values = Float32Array.from({ length: count }, () => 0.002 + 0.002 * Math.random());
    return dtype === "bfloat16" ? toBfloat16(values) : toFloat16(values);
  };
  const bytes = dtype === "uint8" ? randomFillSync(new Uint8Array(count)) : new Uint8Array(scales().buffer);
  const piece = { rows: 1, reads: [], encode: () => [bytes] };
  return g.weight(
    name,
    dtype,
    shape,
    Array.from({ length: shape[0]! }, () => piece),
  );
}

function writeGraph(graph: Graph, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "graph.onnx");
  writeFileSync(path, encodeModel(graph, "graph.data", "experts"));
  const file = openSync(join(folder, "graph.data"), "w");
  for (const { piece, targets } of placePieces(graph)) {
    piece.encode([]).forEach((bytes, i) => writeSync(file, bytes, 0, bytes.length, targets[i]!.offset));
  }
  closeSync(file);
  return path;
}
