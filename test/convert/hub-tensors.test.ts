import { describe, expect, test } from "vitest";
import { hubTensors } from "../../src/convert/hub-tensors.ts";
import { readModelConfig } from "../../src/convert/read-config.ts";
import { hubConfig, hubShapes, hubTensors as tinyTensors, writeCheckpoint } from "./tiny-checkpoint.ts";

function namesAndShapes(config: Record<string, unknown>): [string, readonly number[]][] {
  const folder = writeCheckpoint(config, tinyTensors());
  return hubTensors(readModelConfig(folder)).map(({ name, shape }) => [name, shape]);
}

describe("hubTensors", () => {
  test("lists what the model spec lists, each tensor once", () => {
    const listed = namesAndShapes(hubConfig);

    expect(new Map(listed)).toEqual(new Map(Object.entries(hubShapes)));
    expect(listed).toHaveLength(Object.keys(hubShapes).length);
  });

  test("an untied model has an LM head", () => {
    const listed = new Map(namesAndShapes({ ...hubConfig, tie_word_embeddings: false }));

    expect(listed.get("lm_head.weight")).toEqual(listed.get("model.embed_tokens.weight"));
  });

  test("a model without shared experts has no tensors for them", () => {
    const names = namesAndShapes({ ...hubConfig, moe_num_shared_experts: 0 }).map(([name]) => name);

    expect(names.filter((name) => name.includes("shared"))).toEqual([]);
  });
});
