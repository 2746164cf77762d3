// What config.json alone says, in either spelling, and the rules its sizes obey.

import type { ModelConfig } from "../core/model-config.ts";
import { rejectValue } from "./read-json.ts";
import type { DeclaredTokens } from "./special-tokens.ts";

export type ModelSizes = Pick<ModelConfig, "text" | "moe" | "vision"> & { readonly tokens: DeclaredTokens };

/** What attention, routing and the vision tower take for granted. `prefix` leads to the text keys. */
export function checkSizes(path: string, { text, moe, vision }: ModelSizes, prefix: string): void {
  const { hiddenSize, queryHeadCount, kvHeadCount, headDim } = text;
  const { height, width, time } = text.ropePairs;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    rejectValue(path, `${prefix}num_attention_heads`, `a number that cuts hidden_size ${hiddenSize} into even heads`, queryHeadCount);
  }
  if (queryHeadCount % kvHeadCount !== 0) {
    rejectValue(path, `${prefix}num_key_value_heads`, `a divisor of num_attention_heads ${queryHeadCount}`, kvHeadCount);
  }
  if (height !== width || !Number.isInteger(height) || height < 1 || height + width + time !== headDim / 2) {
    const key = prefix === "" ? "freq_allocation" : `${prefix}rope_parameters.mrope_section`;
    const got = prefix === "" ? time : [height, width, time];
    rejectValue(path, key, `a split of ${headDim / 2} frequency pairs with as many for height as for width`, got);
  }
  if (moe.topK > moe.expertCount) rejectValue(path, `${prefix}moe_k`, `at most moe_num_experts ${moe.expertCount}`, moe.topK);
  if (vision.hiddenSize % (4 * vision.headCount) !== 0) {
    const expected = `a number that cuts hidden_size ${vision.hiddenSize} into heads of a multiple of 4`;
    rejectValue(path, "vision_config.num_heads", expected, vision.headCount);
  }
  if (!Number.isInteger(vision.mlpWidth)) {
    rejectValue(path, "vision_config.mlp_ratio", "a whole MLP width", vision.mlpWidth / vision.hiddenSize);
  }
  if (vision.temporalMergeSize !== 2) {
    const key = prefix === "" ? "temporal_conv_size" : "vision_config.temporal_merge_size";
    rejectValue(path, key, "2, the only supported value", vision.temporalMergeSize);
  }
}
