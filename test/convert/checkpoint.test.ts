import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { Checkpoint, openCheckpoint } from "../../src/convert/checkpoint.ts";
import { UserError } from "../../src/core/errors.ts";
import { readSafetensors } from "../reference/read-safetensors.ts";
import { hasTinyA, tinyA } from "../reference/tiny-a.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { hubConfig, hubShapes, hubTensors, nativeConfig, nativeTensors, writeCheckpoint, type Tensors } from "./tiny-checkpoint.ts";

function readAll(checkpoint: Checkpoint): void {
  for (const [name, shape] of Object.entries(hubShapes)) checkpoint.read(name, shape);
}

function renameTensor(tensors: Tensors, from: string, to: string): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name === from ? to : name, tensor]));
}

describe.each([
  ["hub layout, one file", "hub", () => writeCheckpoint(hubConfig, hubTensors())],
  ["hub layout, three shards", "hub", () => writeCheckpoint(hubConfig, hubTensors(), 3)],
  ["native layout, one file", "native", () => writeCheckpoint(nativeConfig, nativeTensors())],
  ["native layout, two shards", "native", () => writeCheckpoint(nativeConfig, nativeTensors(), 2)],
  ["hub tensors beside a native config", "hub", () => writeCheckpoint(nativeConfig, hubTensors())],
])("%s", (_, layout, write) => {
  test("gives every tensor under the hub's name, in the hub's orientation", () => {
    const checkpoint = openCheckpoint(write());
    const expected = hubTensors();

    for (const [name, shape] of Object.entries(hubShapes)) {
      expect(checkpoint.has(name), name).toBe(true);
      expect(checkpoint.read(name, shape), name).toEqual(expected[name]!.values);
    }

    expect(() => checkpoint.finish()).not.toThrow();
    expect(checkpoint.layout).toBe(layout);
    expect(checkpoint.config.text.tiedEmbedding).toBe(true);
    expect(checkpoint.notes).toEqual([]);
    expect(checkpoint.has("model.layers.1.mlp.gate.weight_2")).toBe(false);
    checkpoint.close();
  });

  test.each([
    "model.embed_tokens.weight",
    "model.layers.1.mlp.gate.weight_1",
    "model.layers.1.mlp.moe_statics.e_score_correction_bias",
    "model.layers.1.mlp.experts.0.up_proj.weight",
    "model.layers.1.mlp.experts.7.down_proj.weight",
    "vision_model.ln.bias",
  ])("does not finish while %s is unread", (skipped) => {
    const checkpoint = openCheckpoint(write());
    for (const [name, shape] of Object.entries(hubShapes)) if (name !== skipped) checkpoint.read(name, shape);

    expect(() => checkpoint.finish()).toThrow(/does not imply: (model|vision_model)/);
    checkpoint.read(skipped, hubShapes[skipped]!);
    expect(() => checkpoint.finish()).not.toThrow();
    checkpoint.close();
  });
});

describe.each([
  ["hub", () => writeCheckpoint(hubConfig, hubTensors())],
  ["native", () => writeCheckpoint(nativeConfig, nativeTensors())],
])("part of a tensor in the %s layout", (_, write) => {
  test.each([
    "model.layers.0.mlp.up_proj.weight",
    "model.layers.1.mlp.experts.6.up_proj.weight",
    "model.layers.1.mlp.experts.2.down_proj.weight",
  ])("is that part of %s", (name) => {
    const checkpoint = openCheckpoint(write());

    const part = checkpoint.readRange(name, hubShapes[name]!, 5, 11);

    expect(part).toEqual(hubTensors()[name]!.values.slice(5, 16));
    checkpoint.close();
  });

  test("of no elements counts it as used, and checks its shape", () => {
    const checkpoint = openCheckpoint(write());
    for (const [name, shape] of Object.entries(hubShapes)) expect(checkpoint.readRange(name, shape, 0, 0)).toHaveLength(0);

    expect(() => checkpoint.finish()).not.toThrow();
    expect(() => checkpoint.readRange("model.norm.weight", [17], 0, 0)).toThrow("expected shape [17] as in config.json, got [16]");
    checkpoint.close();
  });
});

test("part of a tensor that lies scattered is refused", () => {
  const checkpoint = openCheckpoint(writeCheckpoint(nativeConfig, nativeTensors()));
  const name = "model.layers.1.mlp.gate.weight";

  expect(() => checkpoint.readRange(name, hubShapes[name]!, 0, 1)).toThrow("cannot be read alone");
  checkpoint.close();
});

test("a checkpoint saved by transformers has its vision tower below model.", () => {
  const tensors = Object.fromEntries(
    Object.entries(hubTensors()).map(([name, tensor]) => [name.replace(/^vision_model/, "model.vision_model"), tensor]),
  );
  const checkpoint = openCheckpoint(writeCheckpoint(nativeConfig, tensors));

  expect(checkpoint.read("vision_model.ln.weight", [8])).toEqual(hubTensors()["vision_model.ln.weight"]!.values);
  checkpoint.close();
});

describe("the LM head", () => {
  const head = (change: number): Tensors => {
    const { shape, values } = hubTensors()["model.embed_tokens.weight"]!;
    return { "lm_head.weight": { shape, values: values.with(100, values[100]! + change) } };
  };

  test("stored as a copy of the embedding is tied and need not be read", () => {
    const checkpoint = openCheckpoint(writeCheckpoint(hubConfig, { ...hubTensors(), ...head(0) }));
    readAll(checkpoint);

    expect(checkpoint.config.text.tiedEmbedding).toBe(true);
    expect(() => checkpoint.finish()).not.toThrow();
    checkpoint.close();
  });

  test("that differs from the embedding is used whatever config.json says, with a note", () => {
    const checkpoint = openCheckpoint(writeCheckpoint(hubConfig, { ...hubTensors(), ...head(1) }));
    readAll(checkpoint);

    expect(checkpoint.config.text.tiedEmbedding).toBe(false);
    expect(checkpoint.config.text.tiedEmbedding).toBe(false);
    expect(checkpoint.notes).toHaveLength(1);
    expect(() => checkpoint.finish()).toThrow("does not imply: lm_head.weight");
    checkpoint.close();
  });

  test("is not looked at again when the config is known already", () => {
    const folder = writeCheckpoint(hubConfig, { ...hubTensors(), ...head(1) });
    const first = openCheckpoint(folder);
    const again = openCheckpoint(folder, first.config);

    expect([again.config.text.tiedEmbedding, again.notes]).toEqual([false, []]);
    first.close();
    again.close();
  });

  test("of an untied model is a tensor like any other", () => {
    const config = { ...hubConfig, tie_word_embeddings: false };
    const checkpoint = openCheckpoint(writeCheckpoint(config, { ...hubTensors(), ...head(1) }));

    expect(checkpoint.config.text.tiedEmbedding).toBe(false);
    expect(checkpoint.notes).toEqual([]);
    expect(checkpoint.read("lm_head.weight", [40, 16])).toEqual(head(1)["lm_head.weight"]!.values);
    checkpoint.close();
  });
});

test("finish passes over multi-token-prediction layers and names at most five of the others", () => {
  const extra = { shape: [1], values: new Float32Array(1) };
  const extras = Object.fromEntries(["mtp.0", "x1", "x2", "x3", "x4", "x5", "x6"].map((name) => [`model.${name}`, extra]));
  const checkpoint = openCheckpoint(writeCheckpoint(hubConfig, { ...hubTensors(), ...extras }));
  readAll(checkpoint);

  expect(() => checkpoint.finish()).toThrow("does not imply: model.x1, model.x2, model.x3, model.x4, model.x5 and 1 more;");
  checkpoint.close();
});

describe("a broken checkpoint is refused with one line:", () => {
  const shard = "model-00002-of-00003.safetensors";
  const indexFile = "model.safetensors.index.json";
  const edit = (folder: string, file: string, change: (text: string) => string): void =>
    writeFileSync(join(folder, file), change(readFileSync(join(folder, file), "utf8")));
  const cases: [string, (folder: string) => void, string][] = [
    [
      "a missing shard",
      (folder) => rmSync(join(folder, shard)),
      `weight files that ${indexFile} lists are missing: ${shard}; download them`,
    ],
    [
      "a shard cut short",
      (folder) => truncateSync(join(folder, shard), statSync(join(folder, shard)).size - 3),
      `${shard} is damaged or cut short: expected`,
    ],
    [
      "a tensor that its shard does not hold",
      (folder) => edit(folder, indexFile, (text) => text.replace('"model.norm.weight"', '"model.form.weight"')),
      `tensor model.form.weight is missing, but ${indexFile} lists it`,
    ],
    [
      "an index that leads out of the folder",
      (folder) => edit(folder, indexFile, (text) => text.replaceAll(shard, `../${shard}`)),
      "expected the name of a file in the same folder",
    ],
    ["an index that is no JSON", (folder) => writeFileSync(join(folder, indexFile), "{\n<html>"), "expected valid JSON, got an error"],
    ["an index without a map", (folder) => writeFileSync(join(folder, indexFile), "{}"), "weight_map: expected an object"],
    ["no weights", (folder) => rmSync(join(folder, indexFile)), "expected weights in model.safetensors or"],
    ["no config.json", (folder) => rmSync(join(folder, "config.json")), "config.json"],
    [
      "one tensor in two shards",
      (folder) => cpSync(join(folder, shard), join(folder, "model-00001-of-00003.safetensors")),
      "model-00001-of-00003.safetensors; download both files again",
    ],
  ];

  test.each(cases)("%s", (_, damage, message) => {
    const folder = writeCheckpoint(hubConfig, hubTensors(), 3);
    damage(folder);
    const open = (): Checkpoint => openCheckpoint(folder);

    expect(open).toThrow(UserError);
    expect(open).toThrow(message);
    expect(open).toThrow(/^[^\n]*$/);
  });

  test.each([
    ["hub", hubConfig, hubTensors(), "model.layers.1.mlp.experts.5.up_proj.weight", "model.layers.1.mlp.experts.5.up_proj.weight [2, 16]"],
    [
      "native",
      nativeConfig,
      nativeTensors(),
      "model.language_model.layers.1.mlp.vision_moe.experts.gate_up_proj",
      "model.language_model.layers.1.mlp.vision_moe.experts.gate_up_proj [4, 4, 16]",
    ],
  ])("a tensor under another name (%s layout)", (_, config, tensors, stored, expected) => {
    const checkpoint = openCheckpoint(writeCheckpoint(config, renameTensor(tensors, stored, `${stored}x`)));
    const read = (): unknown => checkpoint.read("model.layers.1.mlp.experts.5.up_proj.weight", [2, 16]);

    expect(read).toThrow(UserError);
    expect(read).toThrow(`tensor ${expected} is missing`);
    checkpoint.close();
  });

  test.each([
    ["model.norm.weight", [17], "model.language_model.norm.weight: expected shape [17] as in config.json, got [16]"],
    ["model.layers.1.mlp.gate.weight", [16, 5], "text_moe.gate.weight: expected shape [5, 16] as in config.json, got [4, 16]"],
    [
      "model.layers.1.mlp.experts.0.gate_proj.weight",
      [5, 16],
      "gate_up_proj: expected shape [4, 10, 16] as in config.json, got [4, 8, 16]",
    ],
    ["model.layers.1.mlp.moe_statics.e_score_correction_bias", [2, 5], "expected shape [1, 5] as in config.json, got [1, 4]"],
  ])("%s in another shape than expected", (name, shape, message) => {
    const checkpoint = openCheckpoint(writeCheckpoint(nativeConfig, nativeTensors()));

    expect(() => checkpoint.read(name, shape)).toThrow(message);
    checkpoint.close();
  });
});

test("the manifest names the checkpoint without a path, and the size of its files", () => {
  const folder = writeCheckpoint(hubConfig, hubTensors(), 2);
  const checkpoint = openCheckpoint(folder);

  const manifest = checkpoint.manifest({ weights: "int4", activations: "fp32" }, "1.2.3");

  expect(manifest.source).toEqual({
    name: "tiny",
    layout: "hub",
    files: Object.fromEntries(
      ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"].map((name) => [
        name,
        { bytes: statSync(join(folder, name)).size },
      ]),
    ),
  });
  expect(JSON.stringify(manifest)).not.toContain(temporaryFolder().slice(0, 8));
  checkpoint.close();
});

test("a snapshot in the Hugging Face cache, all links to blobs, has the name of its repository", () => {
  const folder = join(temporaryFolder(), "models--baidu--ERNIE-tiny", "snapshots", "0123abcd");
  const blobs = writeCheckpoint(hubConfig, hubTensors(), 2);
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(blobs)) symlinkSync(relative(folder, join(blobs, name)), join(folder, name));

  const checkpoint = openCheckpoint(folder);

  const { source } = checkpoint.manifest({ weights: "int4", activations: "fp32" }, "1.2.3");
  expect([source.name, source.files["config.json"]]).toEqual(["ERNIE-tiny", { bytes: statSync(join(blobs, "config.json")).size }]);
  checkpoint.close();
});

test("the nano model opens", () => {
  const checkpoint = openCheckpoint(nanoModel);

  expect(checkpoint.layout).toBe("hub");
  expect(checkpoint.config.moe.sparseLayers).toEqual([false, true, true, true]);
  expect(checkpoint.read("vision_model.patch_embed.proj.weight", [96, 588]).every(Number.isFinite)).toBe(true);
  checkpoint.close();
});

test.skipIf(!hasTinyA)("the reference model is the same in both layouts", () => {
  const hub = openCheckpoint(join(tinyA, "checkpoint-hub"));
  const native = openCheckpoint(join(tinyA, "checkpoint-native"));

  for (const file of ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]) {
    for (const [name, { shape, data }] of readSafetensors(join(tinyA, "checkpoint-hub", file))) {
      const expected = Buffer.from(data.buffer);
      expect(expected.equals(Buffer.from(hub.read(name, shape).buffer)), name).toBe(true);
      expect(expected.equals(Buffer.from(native.read(name, shape).buffer)), name).toBe(true);
    }
  }

  expect(() => hub.finish()).not.toThrow();
  expect(() => native.finish()).not.toThrow();
  const { video, ...tokens } = native.config.tokens;
  expect(video).toBe(15); // transformers gives videos a placeholder of their own
  expect(hub.config).toEqual({ ...native.config, tokens: { ...tokens, video: tokens.image } });
  hub.close();
  native.close();
});
