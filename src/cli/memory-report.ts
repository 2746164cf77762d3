// Where a model's memory goes: weights by part and format, KV cache, workspace, and how many sequences fit on which GPU.

import { maxScoredTokens } from "../core/batch.ts";
import { elementBytes, elementCount } from "../core/data-type.ts";
import { formatBytes } from "../core/format-bytes.ts";
import { activationDataType, type ConversionSettings, type Manifest } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { hubTensors, modelParts, type ModelPart } from "../convert/hub-tensors.ts";
import { planConversion } from "../convert/plan.ts";
import { kvBytesPerToken } from "../model/kv-cache.ts";
import { alignColumns, formatCount } from "./table.ts";

export type PerPart = ReadonlyMap<ModelPart, number>;

/** Memory of common GPUs, as their names have it. */
const gpuGibibytes = [24, 48, 80, 141];
const sequenceLengths = [4096, 8192, 32768, 131072];
/** What CUDA and the runtime's libraries keep for themselves. */
export const cudaReserveBytes = 2 ** 30;
/** Sequences that are computed at the same time, unless told otherwise; on a GPU where they share the KV cache's memory. */
export const defaultSequences = 16;
export const defaultGpuSequences = 32;
/** Prompt tokens of one step, unless told otherwise. */
export const defaultPrefillChunk = 512;

export function parametersByPart(config: ModelConfig): PerPart {
  return sumByPart(hubTensors(config).map(({ part, shape }) => [part, elementCount(shape)]));
}

/** Parameters that one text token meets: the experts it is routed to instead of all, nothing of the vision tower. */
export function activeParameters(config: ModelConfig): number {
  const { topK, expertCount } = config.moe;
  const share: Partial<Record<ModelPart, number>> = {
    "text experts": topK / expertCount,
    "vision experts": 0,
    routers: 1 / 2,
    "vision tower": 0,
    resampler: 0,
  };
  return [...parametersByPart(config)].reduce((sum, [part, count]) => sum + count * (share[part] ?? 1), 0);
}

/** Bytes of the converted weights, padding of the vision experts included: exactly what the converter would write. */
export function weightBytesByPart(config: ModelConfig, settings: ConversionSettings): PerPart {
  const partOf = new Map(hubTensors(config).map(({ name, part }) => [name, part]));
  const { jobs } = planConversion({ config, settings, inspect: false });
  return sumByPart(jobs.map(({ piece, byteLength }) => [partOf.get(piece.reads[0]!.name)!, byteLength]));
}

export function totalOf(parts: PerPart): number {
  return [...parts.values()].reduce((sum, value) => sum + value, 0);
}

function sumByPart(entries: readonly (readonly [ModelPart, number])[]): PerPart {
  const sums = new Map<ModelPart, number>();
  for (const [part, value] of entries) sums.set(part, (sums.get(part) ?? 0) + value);
  return new Map(modelParts.flatMap((part) => (sums.has(part) ? [[part, sums.get(part)!]] : [])));
}

/** Bytes by what they are for. Each session of ONNX Runtime has an arena of its own and keeps what it took: they add up. */
export type Workspace = {
  /** The vision tower's, for the largest picture. */
  readonly pictures: number;
  /** The decoder's, for prefill chunks and for decode steps. */
  readonly steps: number;
  /** The sampler's, and the logits. */
  readonly sampling: number;
};

/** What decides how much of it there is; without `experts` ONNX Runtime's operators compute. */
export type Computed = Pick<ConversionSettings, "activations" | "experts">;

/** `sequences`: the most that are computed at the same time. */
export type StepSizes = { readonly prefillChunkTokens?: number; readonly sequences?: number };

/**
 * Estimate of what the sessions keep beside weights and cache, at least what the emulated GPU counts (docs/kv-cache.md). Attention scores are
 * not stored. What does not compute in fp32 is taken for a GPU.
 */
export function planWorkspace(config: ModelConfig, { activations, experts }: Computed, sizes: StepSizes = {}): Workspace {
  const { prefillChunkTokens = defaultPrefillChunk, sequences = defaultSequences } = sizes;
  const activationBytes = elementBytes[activationDataType[activations]];
  const denseBytes = experts === "modality-moe" ? unpackedBytes : writtenOutBytes;
  return {
    pictures: towerBytes(config, activationBytes),
    steps:
      decoderBytes(config, activationBytes, prefillChunkTokens) +
      (activations === "fp32" ? 0 : denseBytes(config, activationBytes, prefillChunkTokens)),
    // Logits, scaled ones, and two copies while the largest are searched; also those of a prompt's tokens that are scored.
    sampling: 4 * Math.max(sequences, 1 + maxScoredTokens) * config.text.vocabSize * elementBytes.float32,
  };
}

export function workspaceBytes(config: ModelConfig, computed: Computed, sizes: StepSizes = {}): number {
  const { pictures, steps, sampling } = planWorkspace(config, computed, sizes);
  return pictures + steps + sampling;
}

/** The tensors of the widest layer that live at the same time. */
function towerBytes({ vision, image }: ModelConfig, activationBytes: number): number {
  const pixelBytes = 3 * (3 * vision.patchSize ** 2) * elementBytes.float32;
  const widest = Math.max(vision.mlpWidth, 3 * vision.hiddenSize);
  const patches = image.maxPixels / vision.patchSize ** 2;
  return Math.ceil(patches * (pixelBytes + (8 * vision.hiddenSize + 3 * widest) * activationBytes));
}

/** The same, and the experts' partial sums twice: an arena seldom gives a large piece out again whole. */
function decoderBytes({ text, moe }: ModelConfig, activationBytes: number, tokens: number): number {
  const widestExpert = Math.max(moe.textWidth, moe.visionWidth);
  const widest = Math.max(text.denseWidth, moe.topK * widestExpert, moe.sharedWidth);
  const layer = (8 * text.hiddenSize + 3 * widest) * activationBytes;
  const experts = moe.topK * (text.hiddenSize * elementBytes.float32 + widestExpert * activationBytes);
  return tokens * (layer + 2 * experts);
}

/**
 * Of our own linear layers for more than 64 tokens: up to 32 MiB of unpacked weights, and what up to 2,048 tokens make of them in fp32 (kernels/common/tiled_linear.cu).
 * Where prompts grow longer one by one, the arena takes the first anew for each length.
 */
function unpackedBytes({ text }: ModelConfig, activationBytes: number, tokens: number): number {
  const rowBytes = text.hiddenSize * activationBytes;
  const rows = Math.min(2 * text.denseWidth, Math.floor((32 * 2 ** 20) / rowBytes));
  return 7 * rows * rowBytes + Math.min(tokens, 2048) * rows * elementBytes.float32;
}

/** For many rows the CUDA provider writes int8 matrices out: a layer's, and of the LM head 32,768 rows at a time. */
function writtenOutBytes({ text }: ModelConfig, activationBytes: number): number {
  const attention = (text.queryHeadCount + 2 * text.kvHeadCount) * text.headDim;
  return (2 * text.denseWidth + attention + Math.min(text.vocabSize, 32_768)) * text.hiddenSize * activationBytes;
}

/** Bytes of weights that a converted model holds. */
export function dataBytes({ files }: Manifest): number {
  return Object.entries(files).reduce((sum, [name, { bytes }]) => sum + (name.endsWith(".data") ? bytes : 0), 0);
}

/** "experts 13.2 GiB, attention 0.5 GiB, …": what the weights of each kind take, the largest first. */
export function weightsByKind(config: ModelConfig, settings: ConversionSettings): string {
  const sums = new Map<string, number>();
  for (const [part, bytes] of weightBytesByPart(config, settings)) {
    const kind = kindOf[part] ?? "other";
    sums.set(kind, (sums.get(kind) ?? 0) + bytes);
  }
  return [...sums]
    .toSorted(([, a], [, b]) => b - a)
    .map(([kind, bytes]) => `${kind} ${formatBytes(bytes)}`)
    .join(", ");
}

const kindOf: Partial<Record<ModelPart, string>> = {
  "text experts": "experts",
  "vision experts": "experts",
  "shared experts": "experts",
  attention: "attention",
  embedding: "embedding and LM head",
  "LM head": "embedding and LM head",
  "vision tower": "vision",
  resampler: "vision",
};

/** A row for each part and one for all, a column for each way to convert; padded vision experts are marked. */
export function memoryTable(config: ModelConfig, choices: readonly ConversionSettings[]): string[] {
  const parameters = parametersByPart(config);
  const columns = choices.map((settings) => weightBytesByPart(config, settings));
  const perParameter = (bytes: PerPart, part: ModelPart) => bytes.get(part)! / parameters.get(part)!;
  const arePadded = columns.map((bytes) => perParameter(bytes, "vision experts") > 1.01 * perParameter(bytes, "text experts"));
  const isMarked = arePadded.includes(true);
  const rows = [...parameters].map(([part, count]) => [
    part === "embedding" && config.text.tiedEmbedding ? "embedding, LM head" : part,
    formatCount(count),
    ...columns.map((bytes, i) => formatBytes(bytes.get(part)!) + mark(part === "vision experts" && arePadded[i]!)),
  ]);
  function mark(isPadded: boolean): string {
    return isPadded ? "*" : isMarked ? " " : "";
  }
  return [
    ...alignColumns([
      ["", "parameters", ...choices.map(({ weights }) => weights + mark(false))],
      ...rows,
      ["all", formatCount(totalOf(parameters)), ...columns.map((bytes) => formatBytes(totalOf(bytes)) + mark(false))],
    ]),
    ...(isMarked ? ["* padded to the width of the text experts, as ONNX Runtime's operator wants them"] : []),
  ];
}

/** How many sequences of which length fit on which GPU, for each way to convert; "–" where not even the weights do. */
export function capacityTable(config: ModelConfig, choices: readonly ConversionSettings[]): string[] {
  const { maxPositions } = config.text;
  const lengths = sequenceLengths.filter((length) => length <= maxPositions);
  if (lengths.length === 0) lengths.push(maxPositions);
  const rows = choices.flatMap((settings) => {
    const weightBytes = totalOf(weightBytesByPart(config, settings));
    // What is not quantized has the type of the activations.
    const format = settings.weights === "fp32" ? settings.activations : settings.weights;
    return lengths.map((length, i) => [
      i === 0 ? `${format}, ${formatBytes(weightBytes)}` : "",
      length % 1024 === 0 ? `${length / 1024}k` : String(length),
      ...gpuGibibytes.map((size) => {
        const count = sequencesThatFit(config, settings, { gpuBytes: size * 2 ** 30, weightBytes, length });
        return count?.toLocaleString("en-US") ?? "–";
      }),
    ]);
  });
  return alignColumns([["weights", "tokens", ...gpuGibibytes.map((size) => `${size} GB`)], ...rows]);
}

/** Sequences of `length` tokens beside weights and workspace; undefined when not even those fit. */
export function sequencesThatFit(
  config: ModelConfig,
  computed: Computed,
  { gpuBytes, weightBytes, length }: { readonly gpuBytes: number; readonly weightBytes: number; readonly length: number },
): number | undefined {
  const left = gpuBytes - cudaReserveBytes - weightBytes - workspaceBytes(config, computed);
  if (left < 0) return undefined;
  return Math.floor(left / (length * kvBytesPerToken(config.text, activationDataType[computed.activations])));
}
