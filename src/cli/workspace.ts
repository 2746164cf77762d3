// Estimates the memory for computation, besides weights and KV cache.

import { maxScoredTokens } from "../core/batch.ts";
import { elementBytes } from "../core/data-type.ts";
import { activationDataType, type ConversionSettings } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { defaultPrefillChunk, defaultSequences } from "./memory-wishes.ts";

/** What CUDA takes of a GPU for a process, weights and computation aside: the context, and what comes with use. */
export const cudaReserveBytes = 2 ** 30;

/**
 * The part of it that comes with use: kernels (each is loaded when it first runs), cuBLAS's memory (32 MiB a session on Hopper) and CUDA graphs. The
 * context is there by the time a GPU's free memory is known, because cudaMemGetInfo asks that of a context, and so counts as in use. vLLM measures
 * 0.16 to 0.2 GiB beside the context and what PyTorch allocates (pull requests 12126, 14447). Not yet measured here.
 */
export const cudaLateBytes = 2 ** 29;

/** Cache for the features of pictures seen before. */
export const imageCacheBytes = 256 * 2 ** 20;

/** Bytes by what they are for. Each session of ONNX Runtime has an arena of its own and keeps what it took: they add up. */
export type Workspace = {
  /** The vision tower's, for two of the largest pictures in turns. */
  readonly pictures: number;
  /** The decoder's, for prefill chunks and for decode steps. */
  readonly steps: number;
  /** The sampler's, and the logits. */
  readonly sampling: number;
};

/** What decides how much of it there is; without `experts` ONNX Runtime's operators compute. */
export type Computed = Pick<ConversionSettings, "activations" | "experts">;

/** `sequences`: the most that are computed at the same time. */
type StepSizes = { readonly prefillChunkTokens: number; readonly sequences: number };

/**
 * Estimate of what the sessions keep beside weights and cache, at least what the emulated GPU counts (docs/kv-cache.md). Attention scores are
 * not stored. What does not compute in fp32 is taken for a GPU.
 */
export function planWorkspace(
  config: ModelConfig,
  { activations, experts }: Computed,
  { prefillChunkTokens, sequences }: StepSizes,
): Workspace {
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

/** All of it, at least, with the sizes of a server that was told none. */
export function workspaceBytes(config: ModelConfig, computed: Computed): number {
  const sizes = { prefillChunkTokens: defaultPrefillChunk, sequences: defaultSequences };
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
