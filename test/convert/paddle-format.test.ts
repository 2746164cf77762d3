import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/convert/checkpoint.ts";
import { UserError } from "../../src/core/errors.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { hubConfig, hubTensors, writeCheckpoint, type Tensors } from "./tiny-checkpoint.ts";

function renamed(folder: string, name: string): string {
  const path = join(dirname(folder), name);
  mkdirSync(dirname(path), { recursive: true });
  renameSync(folder, path);
  return path;
}

function withTensor(name: string): Tensors {
  return { ...hubTensors(), [name]: { shape: [1], values: Float32Array.of(1) } };
}

describe("a checkpoint in Paddle's format is refused with the repository to use", () => {
  test.each([
    ["ERNIE-4.5-VL-28B-A3B-Paddle", "baidu/ERNIE-4.5-VL-28B-A3B-PT instead"],
    ["ERNIE-4.5-VL-28B-A3B-Base-Paddle", "baidu/ERNIE-4.5-VL-28B-A3B-Base-PT instead"],
    ["ernie-4.5-vl-424b-a47b-paddle", "baidu/ernie-4.5-vl-424b-a47b-PT instead"],
    ["ERNIE-4___5-VL-28B-A3B-Paddle", "baidu/ERNIE-4.5-VL-28B-A3B-PT instead"],
    ["models--baidu--ERNIE-4.5-VL-28B-A3B-Paddle/snapshots/0123abcd", "baidu/ERNIE-4.5-VL-28B-A3B-PT instead"],
  ])("by the name %s", (name, instead) => {
    const folder = renamed(writeCheckpoint(hubConfig, hubTensors()), name);

    expect(() => openCheckpoint(folder)).toThrow(UserError);
    expect(() => openCheckpoint(folder)).toThrow(instead);
  });

  test("by weights in .pdparams files, even without a config that can be read", () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "model_state.pdparams"), "");

    expect(() => openCheckpoint(folder)).toThrow(/Paddle's \(recognized by model_state\.pdparams\).*ends in -PT/);
  });

  test.each(["model.layers.0.mlp.up_gate_proj.weight", "model.layers.0.self_attn.qkv_proj.weight"])("by the fused tensor %s", (tensor) => {
    const folder = writeCheckpoint(hubConfig, withTensor(tensor));

    expect(() => openCheckpoint(folder)).toThrow(`by the fused tensor ${tensor}`);
  });

  test("names and tensors of other checkpoints are not mistaken for it", () => {
    const folder = renamed(writeCheckpoint(hubConfig, hubTensors()), "ERNIE-4.5-VL-28B-A3B-PT");

    expect(() => openCheckpoint(folder).close()).not.toThrow();
  });
});
