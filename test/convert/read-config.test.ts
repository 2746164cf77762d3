import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readModelConfig } from "../../src/convert/read-config.ts";
import { UserError } from "../../src/core/errors.ts";
import type { ModelConfig } from "../../src/core/model-config.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { published, published424B } from "./published-config.ts";
import { hubConfig, nativeConfig, type Json } from "./tiny-checkpoint.ts";

function read(config: Json, files: Json = {}): ModelConfig {
  const folder = join(temporaryFolder(), "checkpoint");
  mkdirSync(folder);
  for (const [name, content] of Object.entries({ "config.json": config, ...files })) {
    writeFileSync(join(folder, name), JSON.stringify(content));
  }
  return readModelConfig(folder);
}

/** A copy with one value changed; the path leads through nested objects. */
function withValue(config: Json, path: string, value: unknown): Json {
  const [key = "", ...rest] = path.split(".");
  return { ...config, [key]: rest.length === 0 ? value : withValue(config[key] as Json, rest.join("."), value) };
}

test("Baidu's published config gives the published model", () => {
  expect(read(published)).toEqual({
    text: {
      hiddenSize: 2560,
      layerCount: 28,
      queryHeadCount: 20,
      kvHeadCount: 4,
      headDim: 128,
      denseWidth: 12288,
      vocabSize: 103424,
      rmsEpsilon: 1e-5,
      ropeTheta: 500000,
      ropePairs: { height: 22, width: 22, time: 20 },
      maxPositions: 131072,
      tiedEmbedding: true,
    },
    moe: {
      expertCount: 64,
      textWidth: 1536,
      visionWidth: 512,
      topK: 6,
      sharedWidth: 3072,
      sparseLayers: [false, ...Array.from({ length: 27 }, () => true)],
      normMin: 1e-12,
    },
    vision: {
      hiddenSize: 1280,
      layerCount: 32,
      headCount: 16,
      mlpWidth: 5120,
      patchSize: 14,
      mergeSize: 2,
      temporalMergeSize: 2,
      layerNormEpsilon: 1e-6,
      ropeTheta: 10000,
    },
    tokens: {
      bos: 1,
      pad: 0,
      eos: [2],
      image: 100295,
      video: 100295,
      imageStart: 101304,
      imageEnd: 101305,
      videoStart: 101306,
      videoEnd: 101307,
    },
    image: {
      minPixels: 3136,
      maxPixels: 4842768,
      mean: [0.48145466, 0.4578275, 0.40821073],
      std: [0.26862954, 0.26130258, 0.27577711],
    },
  });
});

test("the published config of the 424B gives that model", () => {
  const { text, moe } = read(published424B);

  expect(text).toMatchObject({
    hiddenSize: 8192,
    layerCount: 54,
    headDim: 128,
    ropePairs: { height: 22, width: 22, time: 20 },
    tiedEmbedding: false,
  });
  expect(moe).toMatchObject({ topK: 8, textWidth: 3584, visionWidth: 1536, sharedWidth: 0 });
  expect(moe.sparseLayers).toEqual(Array.from({ length: 54 }, (_, layer) => layer >= 3));
});

describe("frequencies of the rotary embedding", () => {
  const silent = { ...hubConfig, freq_allocation: undefined };

  test.each([
    ["freq_allocation", hubConfig],
    ["mrope_section", { ...silent, rope_scaling: { type: "default", mrope_section: [1, 1, 2] } }],
    ["both", { ...hubConfig, rope_scaling: { rope_type: "default", mrope_section: [1, 1, 2] } }],
  ])("are shared out as %s says", (_, config) => {
    expect(read(config).text.ropePairs).toEqual({ height: 1, width: 1, time: 2 });
  });
});

test("Paddle's config, which leaves out context and tokens, gives the same model", () => {
  const tokens = ["im_patch_id", "image_start_token_id", "image_end_token_id", "video_start_token_id", "video_end_token_id"];
  const absent = ["max_position_embeddings", "rope_scaling", "pad_token_id", "bos_token_id", "eos_token_id", ...tokens];

  expect(read({ ...published, ...Object.fromEntries(absent.map((key) => [key, undefined])) })).toEqual(read(published));
});

test("both layouts of one model give one config", () => {
  expect(read(nativeConfig)).toEqual(read(hubConfig));
});

test.each(["Ernie4_5_VLMoeForConditionalGeneration", "Ernie4_5_VL_MoeForConditionalGeneration"])(
  "class %s stands for the model type",
  (name) => {
    expect(read({ ...hubConfig, model_type: "custom", architectures: [name] })).toEqual(read(hubConfig));
  },
);

describe("layers with experts", () => {
  test.each([
    [
      "up to an end beyond the last layer",
      { moe_layer_start_index: [2, 2], moe_layer_end_index: [9, 5] },
      [false, false, true, true, true],
    ],
    ["inside a range", { moe_layer_start_index: 1, moe_layer_end_index: 3 }, [false, true, true, true, false]],
    [
      "up to the last layer where no end is given",
      { moe_layer_start_index: 3, moe_layer_end_index: undefined },
      [false, false, false, true, true],
    ],
    ["up to the last layer for −1", { moe_layer_start_index: 3, moe_layer_end_index: -1 }, [false, false, false, true, true]],
    ["every second layer", { moe_layer_start_index: 0, moe_layer_end_index: 4, moe_layer_interval: 2 }, [false, true, false, true, false]],
  ])("%s", (_, changes, expected) => {
    expect(read({ ...hubConfig, num_hidden_layers: 5, ...changes }).moe.sparseLayers).toEqual(expected);
  });

  test.each([[undefined], [0]])("have no shared expert when moe_num_shared_experts is %s", (shared) => {
    expect(read({ ...hubConfig, moe_num_shared_experts: shared }).moe.sharedWidth).toBe(0);
    expect(read(withValue(nativeConfig, "text_config.moe_num_shared_experts", shared)).moe.sharedWidth).toBe(0);
  });
});

describe("special tokens", () => {
  const { image_start_token_id: _start, image_end_token_id: _end, eos_token_id: _eos, ...silent } = hubConfig;
  const added = (content: string, id: number): Json => ({ content, id });

  test("that config.json does not name are found by their text in tokenizer.json", () => {
    const tokens = [added("<|IMAGE_START|>", 31), added("<|IMAGE_END|>", 32), added("</s>", 33)];

    expect(read(silent, { "tokenizer.json": { added_tokens: tokens } }).tokens).toMatchObject({ imageStart: 31, imageEnd: 32, eos: [33] });
  });

  test("are found in tokenizer_config.json when there is no tokenizer.json", () => {
    const decoder = { 31: { content: "<|IMAGE_START|>" }, 32: { content: "<|IMAGE_END|>" } };

    expect(read(silent, { "tokenizer_config.json": { added_tokens_decoder: decoder } }).tokens).toMatchObject({
      imageStart: 31,
      imageEnd: 32,
    });
  });

  test("are found in added_tokens.json when there is no tokenizer.json", () => {
    const files = {
      "added_tokens.json": { "<|IMAGE_START|>": 31, "<|IMAGE_END|>": 30 },
      "tokenizer_config.json": { added_tokens_decoder: { 32: { content: "<|IMAGE_END|>" } } },
    };

    expect(read(silent, files).tokens).toMatchObject({ imageStart: 31, imageEnd: 32 });
  });

  test("of config.json win over the tokenizer's", () => {
    expect(read(hubConfig, { "tokenizer.json": { added_tokens: [added("<|IMAGE_START|>", 31)] } }).tokens.imageStart).toBe(11);
  });

  test("that end an answer are those of config.json, of generation_config.json and the end of a turn, each once", () => {
    const files = {
      "generation_config.json": { eos_token_id: [2, 5] },
      "tokenizer.json": { added_tokens: [added("<|end_of_sentence|>", 7)] },
    };

    expect(read(hubConfig, files).tokens.eos).toEqual([2, 5, 7]);
    expect(read(nativeConfig, files).tokens.eos).toEqual([2, 5, 7]);
    expect(read({ ...hubConfig, eos_token_id: [5, 6] }, files).tokens.eos).toEqual([5, 6, 2, 7]);
  });

  test("must lie inside the vocabulary", () => {
    expect(() => read(silent)).toThrow("config.json: image_start_token_id: expected an id below vocab_size 40, got 101304");
    expect(() => read({ ...hubConfig, eos_token_id: 40 })).toThrow("eos_token_id: expected an id below vocab_size 40, got 40");
  });

  test("for videos are transformers' own in the native layout", () => {
    expect(read({ ...nativeConfig, video_token_id: 15 }).tokens).toMatchObject({ image: 10, video: 15 });
  });
});

describe("picture settings", () => {
  test.each([
    ["min_pixels and max_pixels", { min_pixels: 100, max_pixels: 200 }],
    ["size", { size: { shortest_edge: 100, longest_edge: 200 } }],
    ["min_pixels and max_pixels before size", { min_pixels: 100, max_pixels: 200, size: { shortest_edge: 1, longest_edge: 2 } }],
  ])("come from %s", (_, file) => {
    expect(read(hubConfig, { "preprocessor_config.json": file }).image).toMatchObject({ minPixels: 100, maxPixels: 200 });
  });

  test("come from processor_config.json where transformers 5 has saved them there, whatever lies beside it", () => {
    const files = {
      "processor_config.json": {
        image_processor: { size: { shortest_edge: 100, longest_edge: 200 } },
        processor_class: "Ernie4_5_VLMoeProcessor",
      },
      "preprocessor_config.json": { min_pixels: 1, max_pixels: 2 },
    };

    expect(read(hubConfig, files).image).toMatchObject({ minPixels: 100, maxPixels: 200 });
    expect(() => read(hubConfig, { "processor_config.json": { image_processor: { patch_size: 16 } } })).toThrow(
      "processor_config.json: image_processor.patch_size: expected 14 as in config.json, got 16",
    );
    expect(() => read(hubConfig, { "processor_config.json": { image_processor: { resample: 2 } } })).toThrow(
      "processor_config.json: image_processor.resample: expected 3, the only supported value, got 2",
    );
  });

  test("leave the limits of Baidu's image processor to its processor, which sets them", () => {
    const file = {
      image_processor_type: "Ernie4_5_VLImageProcessor",
      size: { height: 224, width: 224 },
      min_pixels: 3136,
      max_pixels: 4816896,
    };
    const processor = { image_min_pixels: 784, image_max_pixels: 12845056 };

    expect(read(hubConfig, { "preprocessor_config.json": file }).image).toMatchObject({ minPixels: 3136, maxPixels: 4842768 });
    expect(read(hubConfig, { "preprocessor_config.json": file, "processor_config.json": processor }).image).toMatchObject({
      minPixels: 784,
      maxPixels: 12845056,
    });
  });

  test("take mean and standard deviation from the file", () => {
    const { image } = read(hubConfig, { "preprocessor_config.json": { image_mean: [0, 0.5, 1], image_std: [1, 2, 3] } });

    expect(image).toMatchObject({ mean: [0, 0.5, 1], std: [1, 2, 3] });
  });

  test.each([
    [{ patch_size: 16 }, "patch_size: expected 14 as in config.json, got 16"],
    [{ merge_size: 3 }, "merge_size: expected 2 as in config.json, got 3"],
    [{ min_pixels: 300, max_pixels: 200 }, "max_pixels: expected at least min_pixels 300, got 200"],
    [{ rescale_factor: 1 }, "rescale_factor: expected 1/255, the only supported value, got 1"],
    [{ resample: 2 }, "resample: expected 3, the only supported value, got 2"],
    [{ image_std: [1, 0, 1] }, "image_std.1: expected a positive number, got 0"],
  ])("that cannot be served are refused: %j", (file, message) => {
    expect(() => read(hubConfig, { "preprocessor_config.json": file })).toThrow(`preprocessor_config.json: ${message}`);
  });
});

describe("a config that cannot be served is refused with key, expectation and value:", () => {
  const hubCases: [string, unknown, string][] = [
    ["model_type", "llama", 'model_type: expected ernie4_5_moe_vl or ernie4_5_vl_moe (this program serves ERNIE-4.5-VL only), got "llama"'],
    ["model_type", undefined, "model_type: expected ernie4_5_moe_vl or ernie4_5_vl_moe"],
    ["hidden_size", undefined, "hidden_size: expected a positive whole number, got nothing"],
    ["hidden_size", "16", 'hidden_size: expected a positive whole number, got "16"'],
    ["num_hidden_layers", 0, "num_hidden_layers: expected a positive whole number, got 0"],
    ["num_hidden_layers", 1e9, "num_hidden_layers: expected a whole number of at most 256, got 1000000000"],
    ["intermediate_size", 2 ** 31, "intermediate_size: expected a whole number of at most 1048576, got 2147483648"],
    ["num_attention_heads", 3, "head_dim: expected a multiple of 8 (without the key it is hidden_size / num_attention_heads), got 5.333"],
    ["head_dim", 12, "head_dim: expected a multiple of 8 (without the key it is hidden_size / num_attention_heads), got 12"],
    ["num_key_value_heads", 3, "num_key_value_heads: expected a divisor of num_attention_heads 2, got 3"],
    ["freq_allocation", 1, "freq_allocation: expected a split of 4 frequency pairs with equal shares for height and width, got 1"],
    ["freq_allocation", 4, "freq_allocation: expected a split of 4 frequency pairs"],
    ["freq_allocation", undefined, "freq_allocation: expected a split of 4 frequency pairs"],
    ["rope_3d", false, "rope_3d: expected true, the only supported value, got false"],
    ["rope_scaling", "yarn", 'rope_scaling: expected no rope scaling, got "yarn"'],
    ["rope_scaling", { type: "yarn" }, 'rope_scaling.type: expected "default", the only supported value, got "yarn"'],
    ["rope_scaling", { rope_type: "linear" }, 'rope_scaling.rope_type: expected "default", the only supported value, got "linear"'],
    [
      "rope_scaling",
      { mrope_section: [2, 1, 1] },
      "rope_scaling.mrope_section: expected [1, 1, 2] by head_dim and freq_allocation, got [2,1,1]",
    ],
    ["use_bias", true, "use_bias: expected false, the only supported value, got true"],
    ["hidden_act", "gelu", 'hidden_act: expected "silu", the only supported value, got "gelu"'],
    ["mm_vocab_size", 8, "mm_vocab_size: expected 0, the only supported value, got 8"],
    [
      "quantization_config",
      { bits: 4 },
      'quantization_config: expected no quantization (only unquantized checkpoints can be converted), got {"bits":4}',
    ],
    ["moe_num_experts", [64, 32], "moe_num_experts: expected as many vision as text experts, got [64,32]"],
    ["moe_num_experts", [], "moe_num_experts: expected an expert count, or one for each of [text, vision], got []"],
    ["moe_intermediate_size", 8, "moe_intermediate_size: expected expert widths of [text, vision], got 8"],
    ["moe_k", 5, "moe_k: expected at most moe_num_experts 4, got 5"],
    ["moe_gate", "top2", 'moe_gate: expected "topk", the only supported value, got "top2"'],
    ["moe_use_aux_free", false, "moe_use_aux_free: expected true, the only supported value, got false"],
    ["moe_norm_gate_logits", false, "moe_norm_gate_logits: expected true, the only supported value, got false"],
    [
      "moe_layer_start_index",
      [0, 1],
      "expected the same layers for text and vision experts (layer 0 has only one kind), got [[0,1],[2,1]]",
    ],
    ["moe_layer_end_index", "9", 'moe_layer_end_index: expected a layer number, or one for each of [text, vision], got "9"'],
    ["spatial_conv_size", 3, "spatial_conv_size: expected vision_config.spatial_merge_size 2, got 3"],
    ["temporal_conv_size", 4, "temporal_conv_size: expected 2, the only supported value, got 4"],
    ["use_temporal_conv", false, "use_temporal_conv: expected true, the only supported value, got false"],
    ["pixel_hidden_size", 9, "pixel_hidden_size: expected vision_config.hidden_size 8, got 9"],
    ["im_patch_id", -1, "im_patch_id: expected a token id, got -1"],
    ["vision_config", undefined, "vision_config: expected an object, got nothing"],
    ["vision_config.embed_dim", 9, "vision_config.embed_dim: expected vision_config.hidden_size 8, got 9"],
    ["vision_config.hidden_act", "gelu", 'vision_config.hidden_act: expected "quick_gelu", the only supported value, got "gelu"'],
    [
      "vision_config.num_heads",
      4,
      "vision_config.num_heads: expected a number of heads for which hidden_size 8 / num_heads is a multiple of 4, got 4",
    ],
    ["vision_config.mlp_ratio", 2.01, "vision_config.mlp_ratio: expected a whole MLP width of at most 1048576, got 2.01"],
    ["vision_config.patch_size", 16, "vision_config.patch_size: expected 14, the only supported value, got 16"],
    ["vision_config.in_channels", 1, "vision_config.in_channels: expected 3, the only supported value, got 1"],
  ];
  const nativeCases: [string, unknown, string][] = [
    ["text_config", [], "text_config: expected an object, got []"],
    ["text_config.hidden_size", 1.5, "text_config.hidden_size: expected a positive whole number, got 1.5"],
    ["text_config.num_attention_heads", 3, "text_config.head_dim: expected a multiple of 8"],
    ["text_config.mlp_layer_types", ["dense"], 'text_config.mlp_layer_types: expected 2 layers, got ["dense"]'],
    ["text_config.mlp_layer_types", ["dense", "moe"], 'text_config.mlp_layer_types.1: expected "dense" or "sparse", got "moe"'],
    ["text_config.moe_num_experts", [4, 4], "text_config.moe_num_experts: expected a positive whole number, got [4,4]"],
    ["text_config.rope_parameters.rope_type", "yarn", 'rope_type: expected "default", the only supported value, got "yarn"'],
    [
      "text_config.rope_parameters.mrope_section",
      [1, 2, 1],
      "mrope_section: expected a split of 4 frequency pairs with equal shares for height and width, got [1,2,1]",
    ],
    ["text_config.rope_parameters.mrope_section", [2, 2], "mrope_section: expected frequency pairs of [height, width, time], got [2,2]"],
    ["vision_config.temporal_merge_size", 3, "vision_config.temporal_merge_size: expected 2, the only supported value, got 3"],
    ["vision_config.patch_size", 28, "vision_config.patch_size: expected 14, the only supported value, got 28"],
    ["vision_config.spatial_merge_size", 4, "vision_config.spatial_merge_size: expected 2, the only supported value, got 4"],
    ["quantization_config", {}, "quantization_config: expected no quantization"],
  ];

  const cases = [
    ...hubCases.map(([path, value, message]) => ({ path, value, message, config: hubConfig })),
    ...nativeCases.map(([path, value, message]) => ({ path, value, message, config: nativeConfig })),
  ];

  test.each(cases)("$path = $value", ({ path, value, message, config }) => {
    const readChanged = (): unknown => read(withValue(config, path, value));

    expect(readChanged).toThrow(UserError);
    expect(readChanged).toThrow("config.json: ");
    expect(readChanged).toThrow(message);
  });
});
