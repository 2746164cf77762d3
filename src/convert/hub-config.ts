// The config.json that Baidu publishes: text keys at the top level, `vision_config` inside, pairs [text, vision] for the two expert banks.

import { z } from "zod";
import { decoderKeys, experts, layers, mropeSection, noQuantization, width, type ModelSizes } from "./model-sizes.ts";
import { count, only, positive, readJson, rejectValue } from "../core/read-json.ts";
import { declaredTokens } from "./special-tokens.ts";

const layerIndex = z.int("a layer number").min(-1, "a layer number");

/** One value for both banks, or [text, vision]. */
function pair(value: z.ZodType<number>, expectation: string) {
  const both = z.tuple([value, value], expectation);
  return z.union([both, value], expectation).transform((given): [number, number] => (typeof given === "number" ? [given, given] : given));
}

const hubConfig = z.object({
  ...decoderKeys,
  use_rmsnorm: only(true),
  tie_word_embeddings: z.boolean().default(true),
  rope_theta: positive.default(500_000),
  rope_3d: only(true),
  // Published as { type: "default", mrope_section: [22, 22, 20] }, which scales nothing.
  rope_scaling: z
    .object({ type: only("default"), rope_type: only("default"), mrope_section: mropeSection.optional() }, "no rope scaling")
    .nullish(),
  freq_allocation: count.nullish(),
  quantization_config: noQuantization,
  mm_vocab_size: only(0),
  moe_num_experts: pair(experts, "an expert count, or one for each of [text, vision]"),
  moe_layer_start_index: pair(layerIndex, "a layer number, or one for each of [text, vision]"),
  moe_layer_end_index: pair(layerIndex, "a layer number, or one for each of [text, vision]").default([-1, -1]),
  moe_layer_interval: count.default(1),
  moe_gate: only("topk"),
  moe_use_aux_free: only(true),
  moe_norm_gate_logits: only(true),
  spatial_conv_size: count.default(2),
  temporal_conv_size: count.default(2),
  use_temporal_conv: only(true),
  pixel_hidden_size: count.nullish(),
  ...declaredTokens,
  im_patch_id: declaredTokens.image_token_id,
  vision_config: z.object({
    depth: layers,
    embed_dim: width.nullish(),
    hidden_size: width,
    num_heads: width,
    mlp_ratio: positive,
    hidden_act: only("quick_gelu"),
    in_channels: only(3),
    patch_size: count,
    spatial_merge_size: count,
  }),
});

type HubConfig = z.output<typeof hubConfig>;
type RopePairs = ModelSizes["text"]["ropePairs"];

/** Throws a UserError for a value that is missing, contradicts another or is not supported. */
export function readHubConfig(path: string): ModelSizes {
  const config = readJson(path, hubConfig);
  const headDim = config.head_dim ?? config.hidden_size / config.num_attention_heads;
  return {
    text: {
      hiddenSize: config.hidden_size,
      layerCount: config.num_hidden_layers,
      queryHeadCount: config.num_attention_heads,
      kvHeadCount: config.num_key_value_heads,
      headDim,
      denseWidth: config.intermediate_size,
      vocabSize: config.vocab_size,
      rmsEpsilon: config.rms_norm_eps,
      ropeTheta: config.rope_theta,
      ropePairs: ropePairs(path, config, headDim),
      maxPositions: config.max_position_embeddings,
      tiedEmbedding: config.tie_word_embeddings,
    },
    moe: moeConfig(path, config),
    vision: visionConfig(path, config),
    // Videos use the same placeholder token as pictures.
    tokens: { ...config, image_token_id: config.im_patch_id, video_token_id: config.im_patch_id },
  };
}

/** How many frequency pairs rotate with each axis: `freq_allocation` for time; height and width share the rest equally. */
function ropePairs(path: string, { freq_allocation: declared, rope_scaling: scaling }: HubConfig, headDim: number): RopePairs {
  const section = scaling?.mrope_section;
  const time = declared ?? section?.[2] ?? 20;
  const spatial = (headDim / 2 - time) / 2;
  const pairs = [spatial, spatial, time];
  // checkSizes rejects an uneven split.
  if (section && Number.isInteger(spatial) && section.join() !== pairs.join()) {
    rejectValue(path, "rope_scaling.mrope_section", `[${pairs.join(", ")}] by head_dim and freq_allocation`, section);
  }
  return { height: spatial, width: spatial, time };
}

function moeConfig(path: string, config: HubConfig): ModelSizes["moe"] {
  const [expertCount, visionExpertCount] = config.moe_num_experts;
  if (expertCount !== visionExpertCount) rejectValue(path, "moe_num_experts", "as many vision as text experts", config.moe_num_experts);
  const [textWidth, visionWidth] = config.moe_intermediate_size;
  return {
    expertCount,
    textWidth,
    visionWidth,
    topK: config.moe_k,
    sharedWidth: (config.moe_num_shared_experts ?? 0) * textWidth,
    sparseLayers: sparseLayers(path, config),
    normMin: config.moe_norm_min,
  };
}

/** Layer L has experts of a bank when start ≤ L ≤ end and the interval divides L + 1; end −1 is the last layer. */
function sparseLayers(path: string, config: HubConfig): boolean[] {
  const { num_hidden_layers: layerCount, moe_layer_interval: interval, moe_layer_start_index: start, moe_layer_end_index: end } = config;
  const hasExperts = (bank: 0 | 1, layer: number): boolean =>
    (layer + 1) % interval === 0 && layer >= start[bank] && layer <= (end[bank] === -1 ? layerCount - 1 : end[bank]);
  return Array.from({ length: layerCount }, (_, layer) => {
    const sparse = hasExperts(0, layer);
    if (sparse === hasExperts(1, layer)) return sparse;
    const expected = `the same layers for text and vision experts (layer ${layer} has only one kind)`;
    return rejectValue(path, "moe_layer_start_index, moe_layer_end_index", expected, [start, end]);
  });
}

function visionConfig(path: string, config: HubConfig): ModelSizes["vision"] {
  const vision = config.vision_config;
  const { hidden_size: hiddenSize, spatial_merge_size: mergeSize } = vision;
  const sameWidth = `vision_config.hidden_size ${hiddenSize}`;
  if ((vision.embed_dim ?? hiddenSize) !== hiddenSize) rejectValue(path, "vision_config.embed_dim", sameWidth, vision.embed_dim);
  if ((config.pixel_hidden_size ?? hiddenSize) !== hiddenSize) rejectValue(path, "pixel_hidden_size", sameWidth, config.pixel_hidden_size);
  if (config.spatial_conv_size !== mergeSize) {
    rejectValue(path, "spatial_conv_size", `vision_config.spatial_merge_size ${mergeSize}`, config.spatial_conv_size);
  }
  return {
    hiddenSize,
    layerCount: vision.depth,
    headCount: vision.num_heads,
    mlpWidth: hiddenSize * vision.mlp_ratio,
    patchSize: vision.patch_size,
    mergeSize,
    temporalMergeSize: config.temporal_conv_size,
    // Constants of the published code; the file does not carry them.
    layerNormEpsilon: 1e-6,
    ropeTheta: 10_000,
  };
}
