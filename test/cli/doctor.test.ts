import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { doctor } from "../../src/cli/doctor.ts";
import { chooseSettings, prepareModel } from "../../src/cli/prepare-model.ts";
import { convert, convertCheckpoint } from "../../src/convert/convert.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { makeFont } from "../vision/make-font.ts";
import { hasTinyA, tinyA } from "../reference/tiny-a.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** Whether the kernel library is found, where it has been built. */
let areKernelsBuilt = true;
vi.mock("../../src/runtime/kernel-library.ts", async (importOriginal) => {
  const actual = await importOriginal<typeof import("../../src/runtime/kernel-library.ts")>();
  return { ...actual, findKernelLibrary: () => (areKernelsBuilt ? actual.findKernelLibrary() : undefined) };
});

const root = temporaryFolder();
beforeEach(() => void vi.stubEnv("ERNIE_VL_CACHE", join(root, "cache")));
afterEach(() => {
  areKernelsBuilt = true;
  vi.unstubAllEnvs();
});

async function examine(folder: string): Promise<{ canStart: boolean; report: string }> {
  const lines: string[] = [];
  const canStart = await doctor(folder, (line) => lines.push(line));
  return { canStart, report: lines.join("\n") };
}

let copyCount = 0;

/** A copy of a folder that may be spoilt. */
function copyOf(folder: string, spoil: (copy: string) => void): string {
  const copy = join(root, `copy-${copyCount++}`);
  cpSync(folder, copy, { recursive: true, filter: (path) => !path.includes("samples") });
  spoil(copy);
  return copy;
}

const without = (file: string) => (folder: string) => rmSync(join(folder, file));

function editJson(folder: string, file: string, change: (json: Record<string, unknown>) => void): void {
  const path = join(folder, file);
  const json = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  change(json);
  writeFileSync(path, JSON.stringify(json));
}

/** Makes config.json claim another number of layers than the weights have. */
function setLayers(folder: string, layerCount: number): void {
  editJson(folder, "config.json", (json) => {
    const kinds = Array.from({ length: layerCount }, (_, layer) => (layer === 0 ? "dense" : "sparse"));
    Object.assign(json["text_config"] as object, { num_hidden_layers: layerCount, mlp_layer_types: kinds });
  });
}

describe("a complete checkpoint", () => {
  test("is described, with memory by part and what fits on a GPU", async () => {
    const { canStart, report } = await examine(nanoModel);

    expect(canStart).toBe(true);
    expect(report).toContain("ERNIE-4.5-VL: 6.7 M parameters, 927.0 k active per text token; Baidu's layout");
    expect(report).toContain("✓ weights        1265 tensors in 1 file, 13.1 MiB");
    for (const file of ["tokenizer.json", "chat_template.jinja", "preprocessor_config.json", "generation_config.json"]) {
      expect(report).toMatch(new RegExp(`✓ .* ${file.replaceAll(".", "\\.")}$`, "m"));
    }
    expect(report).toMatch(/^ +parameters +int4 +int8 +fp32$/m);
    expect(report).toMatch(/^ {2}text experts +2\.4 M( +\d+\.\d MiB ?){3}$/m);
    expect(report).toContain("KV cache   2.0 KiB in fp32, 1.0 KiB in bf16, 512 B in int8 per token");
    expect(report).toMatch(/^ +weights +tokens +24 GB +48 GB +80 GB +141 GB$/m);
    expect(report).not.toContain("✗");
    expect(report).toMatch(/The server can start\.$/);
  });

  test("has a place for its conversion", async () => {
    expect((await examine(nanoModel)).report).toMatch(/✓ conversion +the next start writes \d\.\d MiB to .*cache.ernie-vl-nano-int4-fp32-/);

    const { folder } = await prepareModel(nanoModel, chooseSettings("int4", "fp32", "auto"), () => {});

    expect((await examine(nanoModel)).report).toContain(`✓ conversion     ${folder} (to verify it: ernie-vl doctor ${folder})`);
  });

  test("cannot be served where its conversion cannot be stored", async () => {
    vi.stubEnv("ERNIE_VL_CACHE", join(nanoModel, "config.json", "cache"));

    const { canStart, report } = await examine(nanoModel);

    expect(canStart).toBe(false);
    expect(report).toMatch(/✗ conversion +cannot cache conversions in .*: not a directory; set ERNIE_VL_CACHE to another folder$/m);
  });

  test.skipIf(!hasTinyA).each([
    ["checkpoint-hub", "Baidu's layout"],
    ["checkpoint-native", "transformers' layout"],
  ])("%s has all its tensors; without a tokenizer it cannot be served", async (name, layout) => {
    const { canStart, report } = await examine(join(tinyA, name));

    expect(report).toContain(layout);
    expect(report).toMatch(/✓ weights +\d+ tensors in/);
    expect(report).toMatch(/✗ tokenizer/);
    expect(canStart).toBe(false);
    expect(report).toMatch(/The server cannot start: see ✗ tokenizer\.$/);
  });

  test.each([
    ["ERNIE-4.5-VL-28B-A3B-PT", "ERNIE-4.5-VL PT:"],
    ["ERNIE-4.5-VL-28B-A3B-Thinking", "ERNIE-4.5-VL Thinking:"],
  ])("called %s is recognised as that variant", async (name, shown) => {
    const folder = join(root, name);
    renameSync(
      copyOf(nanoModel, () => {}),
      folder,
    );

    const { report } = await examine(folder);

    expect(report).toContain(shown);
  });
});

describe("what stands in for a missing file is said, and does not keep the server from starting", () => {
  test.each([
    ["chat_template.jinja and tokenizer_config.json", /! chat template {2}none in the folder, using built-in template pt/],
    ["preprocessor_config.json", /! preprocessor +no preprocessor_config\.json: using the picture sizes .* of the published 28B/],
    ["generation_config.json", /! sampling +no generation_config\.json: using the API's default sampling/],
  ])("%s", async (files, line) => {
    const { canStart, report } = await examine(copyOf(nanoModel, (copy) => files.split(" and ").forEach((file) => without(file)(copy))));

    expect(report).toMatch(line);
    expect(canStart).toBe(true);
  });

  test("a template inside tokenizer_config.json is found", async () => {
    const folder = copyOf(nanoModel, without("chat_template.jinja"));

    expect((await examine(folder)).report).toMatch(/✓ chat template {2}tokenizer_config\.json/);
  });
});

describe("what keeps the server from starting is marked", () => {
  test.each<[string, string, (folder: string) => void, RegExp]>([
    ["no tokenizer", "tokenizer", without("tokenizer.json"), /tokenizer/],
    ["no weights", "checkpoint", without("model.safetensors"), /expected weights in model\.safetensors/],
    ["weights cut short", "checkpoint", (folder) => truncateSync(join(folder, "model.safetensors"), 1_000_000), /damaged or cut short/],
    ["a broken config", "checkpoint", (folder) => writeFileSync(join(folder, "config.json"), "{"), /config\.json: expected valid JSON/],
    [
      "another model",
      "checkpoint",
      (folder) => editJson(folder, "config.json", (json) => Object.assign(json, { model_type: "llama", architectures: [] })),
      /this program serves ERNIE-4\.5-VL only/,
    ],
    ["a broken template", "chat template", (folder) => writeFileSync(join(folder, "chat_template.jinja"), "{% if"), /not valid Jinja/],
    ["a broken generation config", "sampling", (folder) => writeFileSync(join(folder, "generation_config.json"), "["), /JSON/],
    ["neither config nor manifest", "model", without("config.json"), /neither a converted model/],
  ])("%s", async (_, name, spoil, line) => {
    const { canStart, report } = await examine(copyOf(nanoModel, spoil));

    expect(report).toMatch(new RegExp(`^ ✗ ${name} .*${line.source}`, "m"));
    expect(canStart).toBe(false);
    expect(report).toMatch(new RegExp(`The server cannot start: see ✗ .*${name}`));
  });

  test("a folder that is not there", async () => {
    const { canStart, report } = await examine(join(root, "nowhere"));

    expect(report).toMatch(/✗ model +.*nowhere: no such folder/);
    expect(canStart).toBe(false);
  });

  test("missing tensors, the first of them by name", async () => {
    const { canStart, report } = await examine(copyOf(nanoModel, (copy) => setLayers(copy, 5)));

    expect(report).toMatch(/✗ weights +.*tensor model\.layers\.4\.input_layernorm\.weight \[128\] is missing/);
    expect(report).toContain("and 393 more tensors"); // 2 norms, 4 of attention, 3 of routing, 3 shared, 3 · 128 of experts; 3 are shown
    expect(canStart).toBe(false);
  });

  test("tensors that do not belong to the model", async () => {
    const { canStart, report } = await examine(copyOf(nanoModel, (copy) => setLayers(copy, 3)));

    expect(report).toMatch(/✗ weights +.*does not imply: model\.layers\.3\..* and 39\d more/);
    expect(canStart).toBe(false);
  });

  test("missing shards, all of them by name", async () => {
    const folder = copyOf(nanoModel, (copy) => {
      without("model.safetensors")(copy);
      const shard = (n: number) => `model-0000${n}-of-00002.safetensors`;
      writeFileSync(join(copy, "model.safetensors.index.json"), JSON.stringify({ weight_map: { a: shard(1), b: shard(2) } }));
    });

    const { report } = await examine(folder);

    expect(report).toMatch(/✗ checkpoint +.*missing: model-00001-of-00002\.safetensors, model-00002-of-00002\.safetensors; download them/);
    expect(report).toMatch(/✓ tokenizer/);
  });

  test("a checkpoint in Paddle's format, with the repository to use", async () => {
    const folder = join(root, "ERNIE-4.5-VL-28B-A3B-Paddle");
    renameSync(
      copyOf(nanoModel, () => {}),
      folder,
    );

    expect((await examine(folder)).report).toMatch(/✗ checkpoint +.*download baidu\/ERNIE-4\.5-VL-28B-A3B-PT instead/);
  });
});

describe("a converted model", () => {
  const converted = join(root, "nano-int4");
  beforeAll(async () => {
    await convertCheckpoint(nanoModel, converted, { settings: { weights: "int4", activations: "fp32" }, programVersion: "0.1.0" });
  });

  test("is described with the bytes it really has", async () => {
    const { canStart, report } = await examine(converted);

    expect(canStart).toBe(true);
    expect(report).toContain("converted from ernie-vl-nano by ernie-vl 0.1.0: int4 weights, fp32 activations");
    expect(report).toContain("checksums verified");
    expect(report).toMatch(/^ +parameters +int4 *$/m);
    expect(report).not.toContain("another version");
    expect(report).not.toContain("fit on one GPU"); // which cannot compute fp32 activations
  });

  test("with random weights is called that", async () => {
    const folder = join(root, "synthetic");
    const settings = { weights: "int8", activations: "fp32" } as const;
    await convert({ type: "synthetic", name: "nano" }, folder, { settings, programVersion: "0.1.0" });

    const { canStart, report } = await examine(folder);

    expect(report).toMatch(/! weights +random, for benchmarks only/);
    expect(canStart).toBe(true);
    expect((await examine(converted)).report).not.toContain("random");
  });

  test("with a changed byte cannot be served", async () => {
    const folder = copyOf(converted, (copy) => {
      const path = join(copy, "decoder.onnx.data");
      const bytes = readFileSync(path);
      bytes[1000]! ^= 1;
      writeFileSync(path, bytes);
    });

    const { canStart, report } = await examine(folder);

    expect(report).toMatch(/✗ converted +.*decoder\.onnx\.data: expected SHA-256/);
    expect(canStart).toBe(false);
  });

  test("made for our own kernel cannot be served without it", async () => {
    const folder = join(root, "nano-kernel");
    const settings = { weights: "int4", activations: "fp32", experts: "modality-moe" } as const;
    await convertCheckpoint(nanoModel, folder, { settings, programVersion: "0.1.0" });
    areKernelsBuilt = false;

    const { canStart, report } = await examine(folder);

    expect(report).toMatch(/! kernels +not built: .* npm run kernels:build/);
    expect(report).toMatch(/✗ experts .* was converted for the ModalityMoe kernel, which is not built here/);
    expect(canStart).toBe(false);
  });

  test("without one of its files cannot be served", async () => {
    const { canStart, report } = await examine(copyOf(converted, without("vision.onnx")));

    expect(report).toMatch(/✗ converted +.*vision\.onnx: expected \d+ bytes, got no such file/);
    expect(canStart).toBe(false);
  });
});

test.skipIf(!findKernelLibrary() || !existsSync("/proc/cpuinfo"))("the instruction set that our kernels use is named", async () => {
  const { report } = await examine(nanoModel);

  expect(report).toMatch(
    /✓ kernels +.*libernie_kernels\.so\n.*CPU.* kernels.*\n.*(AVX-512 VNNI|AVX2|NEON dot products|portable code) on this CPU/,
  );
});

describe("fonts for PDFs", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test("that are missing are a note, and the server can start", async () => {
    const folder = join(root, "fonts");
    mkdirSync(folder);
    writeFileSync(join(folder, "a.ttf"), makeFont({ names: { 0x411: "A" }, characters: "の込", box: [0, 0, 1000, 1000] }));
    vi.stubEnv("XDG_DATA_HOME", root);
    vi.stubEnv("XDG_DATA_DIRS", "/nowhere");

    const { canStart, report } = await examine(nanoModel);

    expect(canStart).toBe(true);
    expect(report).toMatch(/! fonts +none for Simplified Chinese, Traditional Chinese, Korean: .* are drawn with gaps/);
    writeFileSync(join(folder, "b.ttf"), makeFont({ names: { 0x411: "B" }, characters: "们們妳한", box: [0, 0, 1000, 1000] }));
    expect((await examine(nanoModel)).report).toMatch(/✓ fonts +Chinese, Japanese and Korean, for PDFs/);
  });
});
