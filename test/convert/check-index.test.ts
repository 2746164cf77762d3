import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkIndex, checkShardNames } from "../../src/convert/check-index.ts";
import { readModelConfig } from "../../src/convert/read-config.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { hubConfig, hubTensors, nativeConfig, nativeTensors, type Json } from "./tiny-checkpoint.ts";

const hubNames = Object.keys(hubTensors());

/** Nothing but config.json and an index, as a pull has it before the weights. */
function check(config: Json, names: readonly string[]): void {
  const folder = temporaryFolder();
  const weightMap = Object.fromEntries(names.map((name) => [name, "model-00001-of-00001.safetensors"]));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap }));
  checkIndex(folder, readModelConfig(folder));
}

describe("an index is taken that lists", () => {
  test.each<[string, Json, readonly string[]]>([
    ["the hub's names", hubConfig, hubNames],
    ["transformers' names", nativeConfig, Object.keys(nativeTensors())],
    ["the hub's names under transformers' config", nativeConfig, hubNames],
    ["the vision tower below model.", hubConfig, hubNames.map((name) => name.replace(/^vision_model/, "model.vision_model"))],
    ["a copy of the tied head", hubConfig, [...hubNames, "lm_head.weight"]],
    [
      "layers for training and computed tables",
      hubConfig,
      [...hubNames, "model.mtp_block.0.norm.weight", "vision_model.rotary_emb.inv_freq"],
    ],
  ])("%s", (_, config, names) => {
    expect(() => check(config, names)).not.toThrow();
  });
});

describe("an index is refused that", () => {
  const experts = hubNames.filter((name) => name.includes(".experts."));

  test.each<[string, Json, readonly string[], string]>([
    [
      "lacks tensors",
      hubConfig,
      hubNames.filter((name) => !name.includes(".experts.")),
      `tensors that config.json implies are missing: ${experts.slice(0, 5).join(", ")} and ${experts.length - 5} more`,
    ],
    ["lacks a head of its own", { ...hubConfig, tie_word_embeddings: false }, hubNames, "missing: lm_head.weight"],
    ["lists unknown ones", hubConfig, [...hubNames, "model.audio.weight"], "tensors that config.json does not imply: model.audio.weight"],
    ["is Paddle's", hubConfig, ["ernie.layers.0.self_attn.qkv_proj.weight"], "got one in Paddle's"],
  ])("%s", (_, config, names, message) => {
    expect(() => check(config, names)).toThrow(message);
  });
});

test("a checkpoint in one file needs no index, and is not looked at", () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "config.json"), JSON.stringify(hubConfig));
  expect(() => checkIndex(folder, readModelConfig(folder))).not.toThrow();

  writeFileSync(join(folder, "model.safetensors"), "");
  writeFileSync(join(folder, "model.safetensors.index.json"), '{"weight_map":{}}');
  expect(() => checkIndex(folder, readModelConfig(folder))).not.toThrow();
});

test("files that the index names and the hub does not have are told", () => {
  const folder = temporaryFolder();
  const shards = [1, 2, 3].map((shard) => `model-0000${shard}-of-00003.safetensors`);
  expect(() => checkShardNames(folder, shards)).not.toThrow();

  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: { a: shards[0], b: shards[1], c: shards[2] } }));
  expect(() => checkShardNames(folder, shards)).not.toThrow();
  expect(() => checkShardNames(folder, ["model.safetensors"])).not.toThrow();
  expect(() => checkShardNames(folder, shards.slice(0, 1))).toThrow(
    `the hub lacks weight files that this index lists: ${shards[1]}, ${shards[2]}; try again later`,
  );
});
