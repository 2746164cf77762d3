// A checkpoint small enough to write for every test, in both layouts. Values are whole numbers that bfloat16 holds exactly.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../temporary-folder.ts";

export type Tensor = { readonly dtype?: string; readonly shape: readonly number[]; readonly values: Float32Array };
export type Tensors = Record<string, Tensor>;
export type Json = Record<string, unknown>;

const hidden = 16;
const experts = 4;
const textWidth = 4;
const visionWidth = 2;
const visionHidden = 8;

export const hubConfig: Json = {
  model_type: "ernie4_5_moe_vl",
  hidden_size: hidden,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 40,
  max_position_embeddings: 64,
  freq_allocation: 2,
  tie_word_embeddings: true,
  moe_num_experts: [experts, experts],
  moe_intermediate_size: [textWidth, visionWidth],
  moe_k: 2,
  moe_num_shared_experts: 2,
  moe_layer_start_index: [1, 1],
  moe_layer_end_index: [2, 1],
  im_patch_id: 10,
  image_start_token_id: 11,
  image_end_token_id: 12,
  video_start_token_id: 13,
  video_end_token_id: 14,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
  vision_config: { depth: 1, embed_dim: 8, hidden_size: visionHidden, num_heads: 2, mlp_ratio: 2, patch_size: 14, spatial_merge_size: 2 },
};

export const nativeConfig: Json = {
  model_type: "ernie4_5_vl_moe",
  tie_word_embeddings: true,
  image_token_id: 10,
  image_start_token_id: 11,
  image_end_token_id: 12,
  video_start_token_id: 13,
  video_end_token_id: 14,
  video_token_id: 10,
  text_config: {
    hidden_size: hidden,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    vocab_size: 40,
    max_position_embeddings: 64,
    rope_parameters: { rope_type: "default", rope_theta: 500_000, mrope_section: [1, 1, 2] },
    mlp_layer_types: ["dense", "sparse"],
    moe_num_experts: experts,
    moe_intermediate_size: [textWidth, visionWidth],
    moe_k: 2,
    moe_num_shared_experts: 2,
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: 0,
  },
  vision_config: {
    depth: 1,
    hidden_size: visionHidden,
    num_heads: 2,
    intermediate_size: 16,
    patch_size: 14,
    spatial_merge_size: 2,
    temporal_merge_size: 2,
  },
};

/** Name → shape, as the model spec lists them (2.1). */
export const hubShapes: Record<string, readonly number[]> = Object.fromEntries([
  ["model.embed_tokens.weight", [40, hidden]],
  ...[0, 1].flatMap((layer) => decoderLayer(`model.layers.${layer}`, layer > 0)),
  ["model.norm.weight", [hidden]],
  ...["spatial", "temporal"].flatMap((kind) => [
    ...linear(`model.resampler_model.${kind}_linear.0`, 32, kind === "spatial" ? 32 : 64),
    ...linear(`model.resampler_model.${kind}_linear.2`, 32, 32),
    ...norm(`model.resampler_model.${kind}_linear.3`, 32),
  ]),
  ...linear("model.resampler_model.mlp", hidden, 32),
  ["model.resampler_model.after_norm.weight", [hidden]],
  ["vision_model.patch_embed.proj.weight", [visionHidden, 588]],
  ...norm("vision_model.blocks.0.norm1", visionHidden),
  ...norm("vision_model.blocks.0.norm2", visionHidden),
  ...linear("vision_model.blocks.0.attn.qkv", 24, visionHidden),
  ...linear("vision_model.blocks.0.attn.proj", visionHidden, visionHidden),
  ...linear("vision_model.blocks.0.mlp.fc1", 16, visionHidden),
  ...linear("vision_model.blocks.0.mlp.fc2", visionHidden, 16),
  ...norm("vision_model.ln", visionHidden),
]);

type Shape = [string, number[]];

function decoderLayer(parent: string, isSparse: boolean): Shape[] {
  const mlp = (name: string, width: number): Shape[] => [
    [`${parent}.mlp${name}.gate_proj.weight`, [width, hidden]],
    [`${parent}.mlp${name}.up_proj.weight`, [width, hidden]],
    [`${parent}.mlp${name}.down_proj.weight`, [hidden, width]],
  ];
  const sparse = (): Shape[] => [
    [`${parent}.mlp.gate.weight`, [hidden, experts]],
    [`${parent}.mlp.gate.weight_1`, [hidden, experts]],
    [`${parent}.mlp.moe_statics.e_score_correction_bias`, [2, experts]],
    ...Array.from({ length: 2 * experts }, (_, e) => mlp(`.experts.${e}`, e < experts ? textWidth : visionWidth)).flat(),
    ...mlp(".shared_experts", 2 * textWidth),
  ];
  return [
    [`${parent}.input_layernorm.weight`, [hidden]],
    [`${parent}.post_attention_layernorm.weight`, [hidden]],
    [`${parent}.self_attn.q_proj.weight`, [16, hidden]],
    [`${parent}.self_attn.k_proj.weight`, [8, hidden]],
    [`${parent}.self_attn.v_proj.weight`, [8, hidden]],
    [`${parent}.self_attn.o_proj.weight`, [hidden, 16]],
    ...(isSparse ? sparse() : mlp("", 24)),
  ];
}

function linear(name: string, rows: number, columns: number): Shape[] {
  return [
    [`${name}.weight`, [rows, columns]],
    [`${name}.bias`, [rows]],
  ];
}

function norm(name: string, length: number): Shape[] {
  return [
    [`${name}.weight`, [length]],
    [`${name}.bias`, [length]],
  ];
}

export function hubTensors(): Tensors {
  const entries = Object.entries(hubShapes).map(([name, shape], seed): [string, Tensor] => {
    const count = shape.reduce((product, length) => product * length, 1);
    return [name, { shape, values: Float32Array.from({ length: count }, (_, i) => ((i * 37 + seed * 11) % 255) - 127) }];
  });
  return Object.fromEntries(entries);
}

/** The same model as transformers holds it (model spec, 2.2), put together by hand. */
export function nativeTensors(): Tensors {
  const tensors = hubTensors();
  const sequential: Record<string, string> = { 0: "fc1", 2: "fc2", 3: "ln" };
  const native: Tensors = {};
  const take = (name: string): Tensor => {
    const tensor = tensors[name]!;
    delete tensors[name];
    return tensor;
  };
  const mlp = "model.layers.1.mlp";
  const nativeMlp = "model.language_model.layers.1.mlp";
  const bias = take(`${mlp}.moe_statics.e_score_correction_bias`).values;
  for (const [bank, router, first] of [
    ["text_moe", "gate.weight", 0],
    ["vision_moe", "gate.weight_1", experts],
  ] as const) {
    const { values } = take(`${mlp}.${router}`);
    const transposed = Float32Array.from({ length: experts * hidden }, (_, i) => values[(i % hidden) * experts + Math.floor(i / hidden)]!);
    native[`${nativeMlp}.${bank}.gate.weight`] = { dtype: "F32", shape: [experts, hidden], values: transposed };
    native[`${nativeMlp}.${bank}.gate.moe_statics.e_score_correction_bias`] = {
      dtype: "F32",
      shape: [1, experts],
      values: bias.slice(first, first + experts),
    };
    const width = bank === "text_moe" ? textWidth : visionWidth;
    const projections = (names: readonly string[]): Float32Array =>
      Float32Array.from(
        Array.from({ length: experts }, (_, e) =>
          names.flatMap((name) => [...take(`${mlp}.experts.${first + e}.${name}.weight`).values]),
        ).flat(),
      );
    native[`${nativeMlp}.${bank}.experts.gate_up_proj`] = {
      shape: [experts, 2 * width, hidden],
      values: projections(["gate_proj", "up_proj"]),
    };
    native[`${nativeMlp}.${bank}.experts.down_proj`] = { shape: [experts, hidden, width], values: projections(["down_proj"]) };
  }
  for (const [name, tensor] of Object.entries(tensors)) {
    const renamed = name
      .replace("vision_model.", "model.vision_tower.")
      .replace(/^model\.(?=embed_tokens|layers|norm)/, "model.language_model.")
      .replace(/(_linear\.)([023])/, (_, parent: string, index: string) => `${parent}${sequential[index]}`);
    native[renamed] = tensor;
  }
  return native;
}

export function writeSafetensors(path: string, tensors: Tensors): void {
  const header: Json = {};
  const chunks: Uint8Array[] = [];
  let position = 0;
  for (const [name, { dtype = "BF16", shape, values }] of Object.entries(tensors)) {
    const bytes = encode(values, dtype);
    header[name] = { dtype, shape, data_offsets: [position, position + bytes.length] };
    position += bytes.length;
    chunks.push(bytes);
  }
  writeFileSync(path, safetensorsBytes(JSON.stringify(header), Buffer.concat(chunks)));
}

export function safetensorsBytes(header: string, data: Uint8Array): Buffer {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

function encode(values: Float32Array, dtype: string): Uint8Array {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  if (dtype === "F32") return bytes;
  if (dtype !== "BF16") return Buffer.alloc(values.length * 2);
  return Buffer.from(Uint16Array.from(new Uint32Array(bytes.buffer, bytes.byteOffset, values.length), (bits) => bits >>> 16).buffer);
}

/** Writes a folder with config.json and weights: one file, or the given shards with an index. */
export function writeCheckpoint(config: Json, tensors: Tensors, shardCount = 1): string {
  const folder = join(temporaryFolder(), "tiny");
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  if (shardCount === 1) {
    writeSafetensors(join(folder, "model.safetensors"), tensors);
    return folder;
  }
  const weightMap: Json = {};
  for (let shard = 0; shard < shardCount; shard++) {
    const file = `model-0000${shard + 1}-of-0000${shardCount}.safetensors`;
    const part = Object.entries(tensors).filter((_, i) => i % shardCount === shard);
    for (const [name] of part) weightMap[name] = file;
    writeSafetensors(join(folder, file), Object.fromEntries(part));
  }
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));
  return folder;
}
