// How much of a picture's work equals that of some tokens of a prompt.

import type { ModelConfig } from "../core/model-config.ts";
import type { ImagePatches } from "../core/prompt.ts";

/** Layers of the vision tower that need about as many operations for a picture as the decoder needs for `tokenCount` tokens; at least one. */
export function layersWorth(config: ModelConfig, image: ImagePatches, tokenCount: number): number {
  return Math.max(1, Math.floor((tokenCount * decoderProducts(config)) / layerProducts(config, image)));
}

/** Products per text token, without those of attention's scores, which depend on the context. */
function decoderProducts({ text, moe }: ModelConfig): number {
  const attention = text.hiddenSize * text.headDim * 2 * (text.queryHeadCount + text.kvHeadCount);
  const dense = 3 * text.hiddenSize * text.denseWidth;
  const experts = 3 * text.hiddenSize * (moe.topK * moe.textWidth + moe.sharedWidth);
  return moe.sparseLayers.reduce((sum, isSparse) => sum + attention + (isSparse ? experts : dense), 0);
}

/** Products of one layer of the tower, for all frames. */
function layerProducts({ vision }: ModelConfig, { frameCount, patchRows, patchColumns }: ImagePatches): number {
  const { hiddenSize, mlpWidth } = vision;
  const patchCount = patchRows * patchColumns;
  const perPatch = 4 * hiddenSize ** 2 + 2 * hiddenSize * mlpWidth + 2 * patchCount * hiddenSize;
  return frameCount * patchCount * perPatch;
}
