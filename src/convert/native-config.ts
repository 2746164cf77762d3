// The config.json that transformers v5 writes: `text_config` and `vision_config` inside, one expert count for both banks.

import { z } from "zod";
import { decoderKeys, experts, layers, mropeSection, noQuantization, width, type ModelSizes } from "./model-sizes.ts";
import { count, only, positive, readJson, rejectValue } from "../core/read-json.ts";
import { declaredTokens } from "./special-tokens.ts";

const textConfig = z.object({
  ...decoderKeys,
  tie_word_embeddings: z.boolean().nullish(),
  rope_parameters: z.object({ rope_type: only("default"), rope_theta: positive.default(500_000), mrope_section: mropeSection }),
  mlp_layer_types: z.array(z.enum(["dense", "sparse"])),
  moe_num_experts: experts,
  ...declaredTokens,
});

const visionConfig = z.object({
  depth: layers,
  hidden_size: width,
  num_heads: width,
  intermediate_size: width,
  hidden_act: only("quick_gelu"),
  in_channels: only(3),
  patch_size: count,
  spatial_merge_size: count,
  temporal_merge_size: count.default(2),
  rms_norm_eps: positive.default(1e-6),
  rope_parameters: z.object({ rope_theta: positive.default(10_000) }).nullish(),
});

const nativeConfig = z.object({
  text_config: textConfig,
  vision_config: visionConfig,
  tie_word_embeddings: z.boolean().nullish(),
  quantization_config: noQuantization,
  ...declaredTokens,
});

/** Throws a UserError for a value that is missing, contradicts another or is not supported. */
export function readNativeConfig(path: string): ModelSizes {
  const config = readJson(path, nativeConfig);
  const { text_config: text, vision_config: vision } = config;
  const [height, width, time] = text.rope_parameters.mrope_section;
  const [textWidth, visionWidth] = text.moe_intermediate_size;
  if (text.mlp_layer_types.length !== text.num_hidden_layers) {
    rejectValue(path, "text_config.mlp_layer_types", `${text.num_hidden_layers} layers`, text.mlp_layer_types);
  }
  return {
    text: {
      hiddenSize: text.hidden_size,
      layerCount: text.num_hidden_layers,
      queryHeadCount: text.num_attention_heads,
      kvHeadCount: text.num_key_value_heads,
      headDim: text.head_dim ?? text.hidden_size / text.num_attention_heads,
      denseWidth: text.intermediate_size,
      vocabSize: text.vocab_size,
      rmsEpsilon: text.rms_norm_eps,
      ropeTheta: text.rope_parameters.rope_theta,
      ropePairs: { height, width, time },
      maxPositions: text.max_position_embeddings,
      tiedEmbedding: config.tie_word_embeddings ?? text.tie_word_embeddings ?? true,
    },
    moe: {
      expertCount: text.moe_num_experts,
      textWidth,
      visionWidth,
      topK: text.moe_k,
      sharedWidth: (text.moe_num_shared_experts ?? 0) * textWidth,
      sparseLayers: text.mlp_layer_types.map((type) => type === "sparse"),
      normMin: text.moe_norm_min,
    },
    vision: {
      hiddenSize: vision.hidden_size,
      layerCount: vision.depth,
      headCount: vision.num_heads,
      mlpWidth: vision.intermediate_size,
      patchSize: vision.patch_size,
      mergeSize: vision.spatial_merge_size,
      temporalMergeSize: vision.temporal_merge_size,
      layerNormEpsilon: vision.rms_norm_eps,
      ropeTheta: vision.rope_parameters?.rope_theta ?? 10_000,
    },
    tokens: {
      ...config,
      bos_token_id: config.bos_token_id ?? text.bos_token_id,
      pad_token_id: config.pad_token_id ?? text.pad_token_id,
      eos_token_id: [...(config.eos_token_id ?? []), ...(text.eos_token_id ?? [])],
    },
  };
}
