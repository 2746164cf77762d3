// The model that bench-gpu measures, and its sizes: made up at the full size of the 28B unless told otherwise.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { Option } from "commander";
import { defaultActivations } from "../../../src/cli/choose-device.ts";
import { wholeNumber } from "../../../src/cli/options.ts";
import { chooseSettings } from "../../../src/cli/prepare-model.ts";
import { cacheRoot } from "../../../src/convert/conversion-cache.ts";
import { syntheticNames } from "../../../src/convert/synthetic-shapes.ts";
import {
  type ActivationFormat,
  activationFormats,
  type ExpertChoice,
  expertChoices,
  type Manifest,
  type WeightFormat,
  weightFormats,
} from "../../../src/core/manifest.ts";
import { readManifest } from "../../../src/model-folder.ts";
import type { WorkerData } from "../../../src/worker-data.ts";
import { EngineBench } from "../../bench/engine-bench.ts";
import type { JobContext } from "../job.ts";
import { convertSynthetic } from "../prepared-model.ts";

export const benchSettings: readonly Option[] = [
  new Option("--model <model>", `a converted folder, or a synthetic model: ${syntheticNames.join(", ")}`).default("28b"),
  new Option("--weights <format>").choices(weightFormats).default("int4"),
  new Option("--activations <format>", "bf16 on a GPU and fp32 on a CPU if not given").choices(activationFormats),
  new Option("--experts <operator>").choices(expertChoices).default("auto"),
  new Option("--cuda-graphs <switch>", "off: on a GPU that refuses to record decode steps").choices(["on", "off"]).default("on"),
  new Option("--prefill-chunk <tokens>").argParser(wholeNumber(1, 1 << 16)).default(2048),
  new Option("--models <folder>", "where converted models are kept for the next run").default(join(cacheRoot(process.env), "bench")),
];

export type BenchSizes = {
  readonly streams: readonly number[];
  /** Tokens that each stream has before it is timed. */
  readonly context: number;
  readonly decodeTokens: number;
  readonly prompts: readonly number[];
  readonly longSequence: number;
  /** Side of the square picture, in pixels. */
  readonly pictureSide: number;
  readonly repeats: number;
};

const full: BenchSizes = {
  streams: [1, 2, 4, 8, 16, 32, 64],
  context: 2048,
  decodeTokens: 128,
  prompts: [512, 2048, 8192, 32768],
  longSequence: 131_072,
  pictureSide: 1024,
  repeats: 3,
};

const small: BenchSizes = {
  streams: [1, 4],
  context: 128,
  decodeTokens: 32,
  prompts: [128, 512],
  longSequence: 2048,
  pictureSide: 224,
  repeats: 1,
};

export function sizesOf({ isSmall }: Pick<JobContext, "isSmall">): BenchSizes {
  return isSmall ? small : full;
}

/** Converts the first time; `seconds` is then how long that took. */
export function prepareBenchModel({ settings, device }: JobContext): { folder: string; manifest: Manifest; seconds: number | undefined } {
  const name = settings["model"] as string;
  if (existsSync(name)) return { folder: resolve(name), manifest: readManifest(name), seconds: undefined };
  const activations = (settings["activations"] ?? defaultActivations(device)) as ActivationFormat;
  const chosen = chooseSettings(settings["weights"] as WeightFormat, activations, settings["experts"] as ExpertChoice);
  const label = [name, chosen.weights, chosen.activations, chosen.experts ?? "onnxruntime"].join("-");
  const folder = join(settings["models"] as string, label);
  const started = performance.now();
  const isNew = !existsSync(folder);
  if (isNew) convertSynthetic(name, folder, chosen);
  return { folder, manifest: readManifest(folder), seconds: isNew ? (performance.now() - started) / 1000 : undefined };
}

export type OpenBench = {
  readonly engine: EngineBench;
  readonly folder: string;
  readonly manifest: Manifest;
  readonly chunkTokens: number;
};

/** The engine in its worker thread with so many slots of so many tokens. */
export async function openBench(context: JobContext, slotCount: number, slotCapacity: number): Promise<OpenBench> {
  const { folder, manifest } = prepareBenchModel(context);
  const chunkTokens = context.settings["prefillChunk"] as number;
  const options: Partial<WorkerData> = {
    device: context.device,
    cudaGraphs: context.settings["cudaGraphs"] === "on",
    slotCount,
    slotCapacity,
    prefillChunkTokens: chunkTokens,
    imageCacheBytes: 1 << 28,
  };
  return { engine: await EngineBench.start(folder, manifest, options), folder, manifest, chunkTokens };
}
