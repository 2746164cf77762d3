// The synthetic models: sizes of the published ones (model spec, 1 and 8.2) and of two small ones.

import { UserError } from "../core/errors.ts";
import type { ModelConfig, MoeConfig, TextConfig, VisionConfig } from "../core/model-config.ts";
import { readModelConfig } from "./read-config.ts";

type Sizes = Pick<ModelConfig, "text" | "moe" | "vision">;

const text28b: TextConfig = {
  hiddenSize: 2560,
  layerCount: 28,
  queryHeadCount: 20,
  kvHeadCount: 4,
  headDim: 128,
  denseWidth: 12288,
  vocabSize: 103424,
  rmsEpsilon: 1e-5,
  ropeTheta: 500_000,
  ropePairs: { height: 22, width: 22, time: 20 },
  maxPositions: 131072,
  tiedEmbedding: true,
};

const moe28b: MoeConfig = {
  expertCount: 64,
  textWidth: 1536,
  visionWidth: 512,
  topK: 6,
  sharedWidth: 3072,
  sparseLayers: layersFrom(1, 28),
  normMin: 1e-12,
};

const vision28b: VisionConfig = {
  hiddenSize: 1280,
  layerCount: 32,
  headCount: 16,
  mlpWidth: 5120,
  patchSize: 14,
  mergeSize: 2,
  temporalMergeSize: 2,
  layerNormEpsilon: 1e-6,
  ropeTheta: 10_000,
};

const sizes = {
  "28b": { text: text28b, moe: moe28b, vision: vision28b },
  // Four layers of the 28B: what one layer costs, in an eighth of the memory.
  "28b-slice": {
    text: { ...text28b, layerCount: 4 },
    moe: { ...moe28b, sparseLayers: layersFrom(1, 4) },
    vision: { ...vision28b, layerCount: 4 },
  },
  "28b-thinking": { text: { ...text28b, tiedEmbedding: false }, moe: moe28b, vision: vision28b },
  "424b": {
    text: {
      ...text28b,
      hiddenSize: 8192,
      layerCount: 54,
      queryHeadCount: 64,
      kvHeadCount: 8,
      denseWidth: 28672,
      tiedEmbedding: false,
    },
    moe: { ...moe28b, textWidth: 3584, visionWidth: 1536, topK: 8, sharedWidth: 0, sparseLayers: layersFrom(3, 54) },
    vision: vision28b,
  },
  // Everything of the 28B, a fifth as wide and deep; the vocabulary is the nano model's.
  mini: {
    text: {
      ...text28b,
      hiddenSize: 512,
      layerCount: 6,
      queryHeadCount: 8,
      kvHeadCount: 2,
      headDim: 64,
      denseWidth: 1536,
      vocabSize: 2048,
      ropePairs: { height: 11, width: 11, time: 10 },
      maxPositions: 32768,
    },
    moe: { ...moe28b, textWidth: 128, visionWidth: 64, sharedWidth: 256, sparseLayers: layersFrom(1, 6) },
    vision: { ...vision28b, hiddenSize: 256, layerCount: 6, headCount: 4, mlpWidth: 1024 },
  },
} as const satisfies Record<string, Sizes>;

export const syntheticNames = [...(Object.keys(sizes) as (keyof typeof sizes)[]), "nano"] as const;

/**
 * Config of a synthetic model. Its special tokens are those of `companionFolder`, the checkpoint whose tokenizer it borrows; `nano` also
 * has that checkpoint's sizes. Throws a UserError for a name that is not in `syntheticNames`.
 */
export function syntheticConfig(name: string, companionFolder: string): ModelConfig {
  const companion = readModelConfig(companionFolder);
  if (name === "nano") return companion;
  if (!Object.hasOwn(sizes, name)) {
    throw new UserError(`expected ${syntheticNames.join(", ")} as the name of a synthetic model, got ${name}`);
  }
  // Picture sizes as published (model spec, 5).
  const image = { ...companion.image, minPixels: 3136, maxPixels: 4_842_768 };
  return { ...sizes[name as keyof typeof sizes], tokens: companion.tokens, image };
}

/** Which of `layerCount` layers have experts: those from `first` on. */
function layersFrom(first: number, layerCount: number): boolean[] {
  return Array.from({ length: layerCount }, (_, layer) => layer >= first);
}
