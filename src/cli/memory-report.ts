// The memory that a model needs: weights by part and format, and how many sequences fit on common GPUs.

import { elementCount } from "../core/data-type.ts";
import { formatBytes } from "../core/format-bytes.ts";
import { activationDataType, type ConversionSettings, type Manifest } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { hubTensors, modelParts, type ModelPart } from "../convert/hub-tensors.ts";
import { planConversion } from "../convert/plan.ts";
import { kvBytesPerToken } from "../model/kv-cache.ts";
import { defaultMemoryWishes } from "./memory-wishes.ts";
import { alignColumns, formatCount } from "./table.ts";
import { cudaReserveBytes, imageCacheBytes, workspaceBytes, type Computed } from "./workspace.ts";

export type PerPart = ReadonlyMap<ModelPart, number>;

/** Memory of common GPUs, as their names have it. */
const gpuGibibytes = [24, 48, 80, 141];
const sequenceLengths = [4096, 8192, 32768, 131072];

export function parametersByPart(config: ModelConfig): PerPart {
  return sumByPart(hubTensors(config).map(({ part, shape }) => [part, elementCount(shape)]));
}

/** Parameters that one text token uses: only the experts it is routed to, and no part of the vision tower. */
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

/** Bytes of the converted weights, including padding of the vision experts: exactly what the converter would write. */
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
      ["total", formatCount(totalOf(parameters)), ...columns.map((bytes) => formatBytes(totalOf(bytes)) + mark(false))],
    ]),
    ...(isMarked ? ["* padded to the width of the text experts, as ONNX Runtime's operator requires"] : []),
  ];
}

/** How many sequences of each length fit into what a server takes of each GPU, for each way to convert; "–" if not even the weights fit. */
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
        const gpuBytes = size * 2 ** 30 * defaultMemoryWishes.gpuMemoryUtilization;
        const count = sequencesThatFit(config, settings, { gpuBytes, weightBytes, length });
        return count?.toLocaleString("en-US") ?? "–";
      }),
    ]);
  });
  return alignColumns([["weights", "tokens", ...gpuGibibytes.map((size) => `${size} GB`)], ...rows]);
}

/** How many sequences of `length` tokens fit into `gpuBytes` beside everything else; undefined if not even that does. */
export function sequencesThatFit(
  config: ModelConfig,
  computed: Computed,
  { gpuBytes, weightBytes, length }: { readonly gpuBytes: number; readonly weightBytes: number; readonly length: number },
): number | undefined {
  const left = gpuBytes - cudaReserveBytes - weightBytes - workspaceBytes(config, computed) - imageCacheBytes;
  if (left < 0) return undefined;
  return Math.floor(left / (length * kvBytesPerToken(config.text, activationDataType[computed.activations])));
}
