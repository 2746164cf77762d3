// Plans the device memory of a server before anything is loaded.

import { elementBytes, type DataType } from "../core/data-type.ts";
import { UserError } from "../core/errors.ts";
import { formatBytes } from "../core/format-bytes.ts";
import { activationDataType, type ConversionSettings } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { windowPixels } from "../core/vision-grid.ts";
import { fewestTokens, planKvBudget, type KvBudget, type KvSharing } from "../model/kv-budget.ts";
import { kvBytesPerToken } from "../model/kv-cache.ts";
import { kvPageTokens } from "../model/kv-memory.ts";
import { canReserveHost, hostUnitBytes } from "../runtime/host-reservation.ts";
import { type AvailableMemory, availableMemory } from "./available-memory.ts";
import type { ComputeDevice } from "./choose-device.ts";
import { weightsByKind } from "./memory-report.ts";
import {
  defaultGpuSequences,
  defaultPrefillChunk,
  defaultSequences,
  gpuPrefillChunk,
  type MemoryWishes,
  spareSlots,
} from "./memory-wishes.ts";
import { cudaLateBytes, cudaReserveBytes, imageCacheBytes, planWorkspace, type Workspace } from "./workspace.ts";

export type PlannedModel = { readonly config: ModelConfig; readonly settings: ConversionSettings };

export type MemoryPlan = {
  /** What the server may use. */
  readonly usableBytes: number;
  readonly weightBytes: number;
  readonly workspaceBytes: number;
  /** What the workspace is for. `features`: of pictures seen before; `unpacking`: of an int8 cache. */
  readonly workspace: Workspace & { readonly features: number; readonly unpacking: number };
  readonly kv: KvBudget;
  readonly kvDataType: DataType;
  readonly kvBytesPerToken: number;
  /** The most tokens of a prompt in one step. */
  readonly prefillChunkTokens: number;
  /** How to get a longer context, if memory leaves so short a one that it cannot hold the largest picture. */
  readonly advice: string | undefined;
};

/** A layer's keys in all slots of a decode: builds with checks of the decode kernel (XQA) in ONNX Runtime's provider refuse more. Whether it would be right has not been run on a GPU. */
const attentionBlockBytes = 2 ** 32;
/** Share of a host's memory beside weights and workspace that the KV cache may take; the rest is for packed copies of weights, pictures and HTTP. */
const hostShare = 0.5;
/** Long chunks leave the KV cache this many times the memory that their steps take, or are not the default. */
const cachePerChunk = 8;

/**
 * Throws a UserError if weights, workspace and the requested KV cache do not fit. `weightBytes` are those of the converted
 * model.
 */
export function planMemory(
  model: PlannedModel & { readonly weightBytes: number },
  device: ComputeDevice,
  wishes: MemoryWishes,
  host: AvailableMemory = availableMemory(),
): MemoryPlan {
  const problem = tooLittleMemory(model, device, wishes, host);
  if (problem !== undefined) throw new UserError(problem);
  const { config, weightBytes } = model;
  const share = shareOut(model, device, wishes, host.bytes);
  const { usableBytes, workspace, prefillChunkTokens, cacheBytes, kvDataType, perToken, unpackedPerToken } = share;
  const kv = planKvBudget({
    budgetBytes: cacheBytes,
    bytesPerToken: perToken + unpackedPerToken,
    modelMaxLength: config.text.maxPositions,
    maxModelLength: wishes.maxModelLength,
    maxSequences: wishes.maxSequences,
    defaultSequences: usualSequences(device, wishes),
    spareSlots,
    sharing: howToShare(config, device, kvDataType),
    canBeInt8: kvDataType !== "int8",
  });
  const bytes = cachedTokens(kv) * perToken;
  const parts = { ...workspace, unpacking: kv.bytes - bytes };
  const sizes = { usableBytes, weightBytes, workspaceBytes: sumOf(parts) };
  const advice = adviseLonger(config, kv, device, wishes, host);
  return { ...sizes, workspace: parts, kv: { ...kv, bytes }, kvDataType, kvBytesPerToken: perToken, prefillChunkTokens, advice };
}

function adviseLonger(
  { image, text }: ModelConfig,
  { slotCount, capacity }: KvBudget,
  device: ComputeDevice,
  wishes: MemoryWishes,
  host: AvailableMemory,
): string | undefined {
  const pictureTokens = Math.floor(image.maxPixels / windowPixels ** 2);
  if (wishes.maxModelLength !== undefined || capacity > pictureTokens || capacity === text.maxPositions) return undefined;
  const ways = [
    device.kind === "cpu" ? moreMemory(host) : "raise --gpu-memory-utilization",
    ...(slotCount > 1 ? ["lower --max-num-seqs"] : []),
    ...(wishes.kvCacheType === "auto" ? ["use --kv-cache-dtype int8"] : []),
  ];
  return `memory leaves so short a context that pictures (up to ${pictureTokens} tokens) may not fit; ${ways.join(", or ")}`;
}

function moreMemory({ limitBytes }: AvailableMemory): string {
  return limitBytes === undefined ? "stop other programs" : "raise the limit (docker run --memory, MemoryMax=)";
}

function lackOnHost({ bytes, limitBytes }: AvailableMemory): string {
  if (limitBytes === undefined) return `this machine has only ${formatBytes(bytes)} available`;
  return `of its memory limit of ${formatBytes(limitBytes)} only ${formatBytes(bytes)} is left`;
}

/** A GPU runs many sequences in little more time than one; if they share memory, more of them cost nothing else. */
function usualSequences(device: ComputeDevice, { kvCacheType }: MemoryWishes): number {
  return canShareGpu(device, kvCacheType === "int8") ? defaultGpuSequences : defaultSequences;
}

/** An int8 cache is written out whole (below), which would touch what has no memory. */
function canShareGpu(device: ComputeDevice, isInt8: boolean): boolean {
  return device.kind === "cuda" && device.gpu.pageBytes !== undefined && !isInt8;
}

/** How many tokens the KV cache has memory for. */
function cachedTokens({ slotCount, spareSlotCount, capacity, pages }: KvBudget): number {
  return pages ? pages.count * pages.tokens : (slotCount + spareSlotCount) * capacity;
}

function howToShare({ text }: ModelConfig, device: ComputeDevice, dataType: DataType): KvSharing | undefined {
  const tokenBytes = text.headDim * elementBytes[dataType];
  if (device.kind === "cpu") {
    const canAddress = (tokens: number): boolean => canReserveHost(tokens * kvBytesPerToken(text, dataType));
    return { pageTokens: kvPageTokens(tokenBytes, hostUnitBytes), addressableTokens: Infinity, canAddress };
  }
  if (!canShareGpu(device, dataType === "int8")) return undefined;
  const addressableTokens = attentionBlockBytes / (text.kvHeadCount * tokenBytes);
  const canAddress = (tokens: number): boolean => device.gpu.canReserve(tokens * kvBytesPerToken(text, dataType));
  return { pageTokens: kvPageTokens(tokenBytes, device.gpu.pageBytes!), addressableTokens, canAddress };
}

/** Says why weights, workspace and the smallest KV cache do not fit: what is needed, what is available, what to do. Undefined if they fit. */
export function tooLittleMemory(
  model: PlannedModel & { readonly weightBytes: number },
  device: ComputeDevice,
  wishes: MemoryWishes,
  host: AvailableMemory = availableMemory(),
): string | undefined {
  const { weightBytes, settings, config } = model;
  const { usableBytes, workspace, cacheBytes, perToken, unpackedPerToken } = shareOut(model, device, wishes, host.bytes);
  const smallest = fewestTokens(config.text.maxPositions, wishes.maxModelLength) * (perToken + unpackedPerToken);
  if (cacheBytes >= smallest) return undefined;
  const has = formatBytes(Math.max(usableBytes, 0));
  const takenBytes = device.kind === "cpu" ? 0 : device.gpu.totalBytes - device.gpu.freeBytes;
  // The driver and this process itself hold some hundred MiB.
  const isShared = takenBytes > cudaReserveBytes;
  const hasOthers = device.kind === "cuda" && device.gpu.deviceCount > 1;
  const inUse = isShared ? `, ${formatBytes(takenBytes)} are in use already` : "";
  const where =
    device.kind === "cpu"
      ? `but ${lackOnHost(host)}`
      : `but only ${has} of the GPU's ${formatBytes(device.gpu.totalBytes)} may be used${inUse}`;
  const advice = [
    ...(settings.weights.startsWith("int4") ? [] : ["use --weights int4"]),
    ...(device.kind === "cpu"
      ? [moreMemory(host)]
      : [
          isShared ? "stop other programs on the GPU" : "use a larger GPU",
          ...(hasOthers ? ["choose another with CUDA_VISIBLE_DEVICES"] : []),
          "raise --gpu-memory-utilization",
        ]),
  ];
  return (
    `not enough memory: the model needs ${formatBytes(weightBytes + sumOf(workspace))} (${formatBytes(weightBytes)} weights, ` +
    `${describeWorkspace(workspace)}) plus a KV cache of at least ${formatBytes(smallest)}, ${where}; ${advice.join(", or ")}`
  );
}

/** What the server may use, what of it computing takes, and what that and the weights leave for the KV cache; bytes of a token there. */
function shareOut(
  { config, settings, weightBytes }: PlannedModel & { readonly weightBytes: number },
  device: ComputeDevice,
  wishes: MemoryWishes,
  hostBytes: number,
) {
  const usableBytes = device.kind === "cpu" ? hostBytes : usableGpuBytes(device.gpu, wishes.gpuMemoryUtilization);
  const { maxSequences: sequences = usualSequences(device, wishes) } = wishes;
  const shareWith = (prefillChunkTokens: number) => {
    const workspace = { ...planWorkspace(config, settings, { prefillChunkTokens, sequences }), features: imageCacheBytes };
    return { workspace, left: usableBytes - weightBytes - sumOf(workspace) };
  };
  const long = shareWith(gpuPrefillChunk);
  const isLong = device.kind === "cuda" && long.left >= cachePerChunk * long.workspace.steps;
  const { prefillChunkTokens = isLong ? gpuPrefillChunk : defaultPrefillChunk } = wishes;
  const { workspace, left } = shareWith(prefillChunkTokens);
  const kvDataType: DataType = wishes.kvCacheType === "int8" ? "int8" : activationDataType[settings.activations];
  return {
    usableBytes,
    workspace,
    prefillChunkTokens,
    cacheBytes: device.kind === "cpu" ? Math.floor(left * hostShare) : left,
    kvDataType,
    perToken: kvBytesPerToken(config.text, kvDataType),
    unpackedPerToken: device.kind === "cuda" && kvDataType === "int8" ? dequantizedBytesPerToken(config) : 0,
  };
}

/** The budget in one line each. */
export function describeMemory(
  plan: MemoryPlan,
  { config, settings }: PlannedModel,
): { readonly weights: string; readonly context: string; readonly memory: string; readonly advice?: string } {
  const { kv, weightBytes, usableBytes, advice } = plan;
  const total = weightBytes + plan.workspaceBytes + kv.bytes;
  return {
    weights: `${formatBytes(weightBytes)}: ${weightsByKind(config, settings)}`,
    context: `${describeContext(kv, config.text.maxPositions)}; KV cache ${formatBytes(kv.bytes)} (${formatBytes(plan.kvBytesPerToken)} per token, ${plan.kvDataType})`,
    memory:
      `${formatBytes(total)} of ${formatBytes(usableBytes)} available: ${formatBytes(weightBytes)} weights, ` +
      `${formatBytes(kv.bytes)} KV cache, ${describeWorkspace(plan.workspace)}`,
    ...(advice !== undefined && { advice }),
  };
}

function describeContext(kv: KvBudget, modelMaxLength: number): string {
  const ofModel = kv.capacity === modelMaxLength ? "" : ` (of ${modelMaxLength})`;
  if (!kv.pages) {
    const kept = kv.spareSlotCount ? `, plus ${kv.spareSlotCount} kept for follow-up turns` : "";
    return `${kv.slotCount} sequences × ${kv.capacity} tokens${ofModel}${kept}`;
  }
  return `${kv.slotCount} sequences of up to ${kv.capacity} tokens${ofModel}, ${cachedTokens(kv)} in total`;
}

/** "2.1 GiB workspace (pictures 1.3 GiB, …)": the sum and its non-zero parts. */
function describeWorkspace(parts: Readonly<Record<string, number>>): string {
  const named = Object.entries(parts).filter(([, bytes]) => bytes > 0);
  return `${formatBytes(sumOf(parts))} workspace (${named.map(([name, bytes]) => `${name} ${formatBytes(bytes)}`).join(", ")})`;
}

function sumOf(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
}

export function memoryBytes({ weightBytes, workspaceBytes, kv, usableBytes }: MemoryPlan) {
  return { weights: weightBytes, workspace: workspaceBytes, kvCache: kv.bytes, usable: usableBytes };
}

function usableGpuBytes(gpu: { readonly totalBytes: number; readonly freeBytes: number }, utilization: number): number {
  const takenBytes = gpu.totalBytes - gpu.freeBytes;
  return Math.floor(gpu.totalBytes * utilization) - takenBytes - cudaLateBytes;
}

/**
 * For a decode over an int8 cache without a kernel for the model's number of heads, the provider first writes the keys and values of one
 * layer in half precision (read in its source; not yet run on a GPU).
 */
function dequantizedBytesPerToken({ text }: ModelConfig): number {
  return 2 * text.kvHeadCount * text.headDim * elementBytes.bfloat16;
}
