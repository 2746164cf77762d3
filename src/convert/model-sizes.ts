// The sizes that config.json gives in either layout (Baidu's or transformers'), and the rules they obey.

import { z } from "zod";
import type { ModelConfig } from "../core/model-config.ts";
import { mergeSize, patchSize } from "../core/vision-grid.ts";
import { count, countTo, only, positive, rejectValue } from "../core/read-json.ts";
import type { DeclaredTokens } from "./special-tokens.ts";

export type ModelSizes = Pick<ModelConfig, "text" | "moe" | "vision"> & { readonly tokens: DeclaredTokens };

export const mropeSection = z.tuple([count, count, count], "frequency pairs of [height, width, time]");

/** Several times as many as the largest model has. */
export const layers = countTo(256);
export const experts = countTo(256);
const mostColumns = 2 ** 20;
/** Rows or columns of a matrix. */
export const width = countTo(mostColumns);

/** Decoder keys that both layouts of config.json share. */
export const decoderKeys = {
  hidden_size: width,
  intermediate_size: width,
  num_hidden_layers: layers,
  num_attention_heads: width,
  num_key_value_heads: width,
  head_dim: width.nullish(),
  vocab_size: width,
  max_position_embeddings: count.default(131_072),
  rms_norm_eps: positive.default(1e-5),
  hidden_act: only("silu"),
  use_bias: only(false),
  moe_intermediate_size: z.tuple([width, width], "expert widths of [text, vision]"),
  moe_k: count,
  moe_num_shared_experts: z.union([z.literal(0), experts], "a whole number of at most 256").nullish(),
  moe_norm_min: positive.default(1e-12),
};

/** A key that must be absent or null. */
export const noQuantization = z.null("no quantization (only unquantized checkpoints can be converted)").optional();

/** Checks what attention, routing and the vision tower rely on. `prefix` leads to the text keys. Throws a UserError. */
export function checkSizes(path: string, { text, moe, vision }: ModelSizes, prefix: string): void {
  const { queryHeadCount, kvHeadCount, headDim } = text;
  const { height, width, time } = text.ropePairs;
  // Required by ONNX Runtime's GroupQueryAttention.
  if (headDim % 8 !== 0) {
    rejectValue(path, `${prefix}head_dim`, "a multiple of 8 (without the key it is hidden_size / num_attention_heads)", headDim);
  }
  if (queryHeadCount % kvHeadCount !== 0) {
    rejectValue(path, `${prefix}num_key_value_heads`, `a divisor of num_attention_heads ${queryHeadCount}`, kvHeadCount);
  }
  if (height !== width || !Number.isInteger(height) || height < 1 || height + width + time !== headDim / 2) {
    const key = prefix === "" ? "freq_allocation" : `${prefix}rope_parameters.mrope_section`;
    const got = prefix === "" ? time : [height, width, time];
    rejectValue(path, key, `a split of ${headDim / 2} frequency pairs with equal shares for height and width`, got);
  }
  if (moe.topK > moe.expertCount) rejectValue(path, `${prefix}moe_k`, `at most moe_num_experts ${moe.expertCount}`, moe.topK);
  if (vision.hiddenSize % (4 * vision.headCount) !== 0) {
    const expected = `a number of heads for which hidden_size ${vision.hiddenSize} / num_heads is a multiple of 4`;
    rejectValue(path, "vision_config.num_heads", expected, vision.headCount);
  }
  if (!Number.isInteger(vision.mlpWidth) || vision.mlpWidth > mostColumns) {
    rejectValue(path, "vision_config.mlp_ratio", `a whole MLP width of at most ${mostColumns}`, vision.mlpWidth / vision.hiddenSize);
  }
  const temporalKey = prefix === "" ? "temporal_conv_size" : "vision_config.temporal_merge_size";
  requireSize(path, "vision_config.patch_size", patchSize, vision.patchSize);
  requireSize(path, "vision_config.spatial_merge_size", mergeSize, vision.mergeSize);
  requireSize(path, temporalKey, 2, vision.temporalMergeSize);
}

/** Pictures are split into patches with the sizes that all published checkpoints share, so no other sizes are supported. */
function requireSize(path: string, key: string, supported: number, got: number): void {
  if (got !== supported) rejectValue(path, key, `${supported}, the only supported value`, got);
}
