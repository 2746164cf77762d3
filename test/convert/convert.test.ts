import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { convertCheckpoint, type ConvertOptions } from "../../src/convert/convert.ts";
import { requireDiskSpace } from "../../src/convert/disk-space.ts";
import { workFolderPath } from "../../src/convert/work-folder.ts";
import { UserError } from "../../src/core/errors.ts";
import { readManifest, verifyFiles } from "../../src/model-folder.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { hubConfig, hubTensors, nativeConfig, nativeTensors, writeCheckpoint } from "./tiny-checkpoint.ts";
import { namesBeside, newTarget } from "./new-target.ts";

const options: ConvertOptions = { settings: { weights: "fp32", activations: "fp32" }, programVersion: "1.0.0" };

/** File name → content. */
function readFolder(folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "base64")]));
}

/** Converts until `jobs` more jobs are done, then stops; says whether it came to the end, and how many bytes were done before. */
async function convertSome(checkpoint: string, target: string, jobs: number, changes: Partial<ConvertOptions> = {}) {
  const abort = new AbortController();
  const done: number[] = [];
  const onProgress = (bytes: number): void => {
    if (done.push(bytes) > jobs) abort.abort(new UserError("stopped"));
  };
  const finished = await convertCheckpoint(checkpoint, target, { ...options, ...changes, onProgress, signal: abort.signal }).then(
    () => true,
    (error: unknown) => {
      expect(error).toEqual(new UserError("stopped"));
      return false;
    },
  );
  return { finished, bytesBefore: done[0]! };
}

test("a converted model keeps the settings of videos that processor_config.json holds", async () => {
  const [checkpoint, target] = [writeCheckpoint(hubConfig, hubTensors()), newTarget()];
  const settings = JSON.stringify({ video_processor: { max_frames: 30 } });
  writeFileSync(join(checkpoint, "processor_config.json"), settings);

  await convertCheckpoint(checkpoint, target, options);

  expect(readFileSync(join(target, "processor_config.json"), "utf8")).toBe(settings);
  expect(readManifest(target).files).toHaveProperty(["processor_config.json"]);
});

describe("a conversion that is stopped", () => {
  test.each([
    ["hub", hubConfig, hubTensors],
    ["native", nativeConfig, nativeTensors],
  ])("again and again ends with the bytes of an undisturbed one (%s layout)", async (_layout, config, tensors) => {
    const checkpoint = writeCheckpoint(config, tensors());
    const [undisturbed, target] = [newTarget(), newTarget()];
    await convertCheckpoint(checkpoint, undisturbed, options);

    let attempts = 0;
    let lastBefore = -1;
    for (let finished = false; !finished; attempts++) {
      const attempt = await convertSome(checkpoint, target, 7);
      expect(attempt.bytesBefore).toBeGreaterThan(lastBefore);
      ({ finished, bytesBefore: lastBefore } = attempt);
    }

    expect(attempts).toBeGreaterThan(3);
    expect(readFolder(target)).toEqual(readFolder(undisturbed));
    await verifyFiles(target, readManifest(target));
    expect(namesBeside(target)).toEqual([]);
  });

  test("shows nothing at the target", async () => {
    const target = newTarget();
    await convertSome(writeCheckpoint(hubConfig, hubTensors()), target, 3);

    expect(readdirSync(dirname(target))).toEqual([basename(workFolderPath(target))]);
  });

  test.each<[string, (checkpoint: string, target: string) => Partial<ConvertOptions> | void]>([
    ["the weights have changed", (checkpoint) => utimesSync(join(checkpoint, "model.safetensors"), 0, 1_000_000)],
    ["the checkpoint's tokenizer has", (checkpoint) => writeFileSync(join(checkpoint, "tokenizer.json"), "{}")],
    ["other settings are asked for", () => ({ settings: { weights: "fp32", activations: "fp16" } })],
    ["other code converts", () => ({ converterVersion: "newer" })],
    ["the graphs get other outputs", () => ({ inspect: true })],
    ["a data file is cut short", (_, target) => truncateSync(join(workFolderPath(target), "output/decoder.onnx.data"), 100)],
    ["the journal is lost", (_, target) => truncateSync(join(workFolderPath(target), "journal"), 0)],
  ])("starts over when %s", async (_name, change) => {
    const checkpoint = writeCheckpoint(hubConfig, hubTensors());
    const [undisturbed, target] = [newTarget(), newTarget()];
    await convertSome(checkpoint, target, 7);
    const changes = change(checkpoint, target) ?? {};

    const { bytesBefore } = await convertSome(checkpoint, target, Infinity, changes);

    expect(bytesBefore).toBe(0);
    await convertCheckpoint(checkpoint, undisturbed, { ...options, ...changes });
    expect(readFolder(target)).toEqual(readFolder(undisturbed));
  });

  test("goes on from what a torn journal still says", async () => {
    const checkpoint = writeCheckpoint(hubConfig, hubTensors());
    const [undisturbed, target] = [newTarget(), newTarget()];
    await convertCheckpoint(checkpoint, undisturbed, options);
    await convertSome(checkpoint, target, 12); // jobs 10 and 11 have two digits
    const journal = join(workFolderPath(target), "journal");
    truncateSync(journal, readFileSync(journal).length - 2);

    const { bytesBefore } = await convertSome(checkpoint, target, Infinity);

    expect(bytesBefore).toBeGreaterThan(0);
    expect(readFolder(target)).toEqual(readFolder(undisturbed));
  });
});

describe("a conversion that fails names the cause and leaves nothing:", () => {
  test.each([
    ["NaN", Number.NaN],
    ["an infinity", Number.NEGATIVE_INFINITY],
  ])("%s in a tensor", async (_name, value) => {
    const tensors = hubTensors();
    const name = "model.layers.1.mlp.experts.5.up_proj.weight";
    tensors[name]!.values[17] = value;
    const target = newTarget();
    const conversion = convertCheckpoint(writeCheckpoint(hubConfig, tensors), target, options);

    await expect(conversion).rejects.toThrow(`${name}: expected finite numbers, got ${value} at element 17 of [2, 16]`);
    expect(readdirSync(dirname(target))).toEqual([]);
  });

  test.each([
    ["a norm's weight", "model.layers.1.input_layernorm.weight"],
    ["one of several matrices in one", "model.layers.0.self_attn.k_proj.weight"],
    ["a bias", "vision_model.blocks.0.norm1.bias"],
  ])("%s that half precision cannot hold", async (_name, name) => {
    const tensors = hubTensors();
    tensors[name]!.values[3] = -65_536;
    const target = newTarget();
    const checkpoint = writeCheckpoint(hubConfig, tensors);
    const conversion = convertCheckpoint(checkpoint, target, { ...options, settings: { weights: "fp32", activations: "fp16" } });

    await expect(conversion).rejects.toThrow(`${name}: expected numbers that fit float16, got -65536; convert with --activations bf16`);
    expect(readdirSync(dirname(target))).toEqual([]);
    await convertCheckpoint(checkpoint, target, { ...options, settings: { weights: "fp32", activations: "bf16" } });
  });

  test.each<[string, (tensors: ReturnType<typeof hubTensors>) => void, RegExp]>([
    ["a missing tensor", (tensors) => delete tensors["vision_model.ln.bias"], /tensor vision_model\.ln\.bias \[8\] is missing/],
    [
      "a tensor of another shape",
      (tensors) => (tensors["model.norm.weight"] = { shape: [8], values: new Float32Array(8) }),
      /model\.norm\.weight: expected shape \[16\] as in config\.json, got \[8\]/,
    ],
    [
      "a tensor that nothing uses",
      (tensors) => (tensors["model.layers.0.extra"] = { shape: [8], values: new Float32Array(8) }),
      /does not imply: model\.layers\.0\.extra;/,
    ],
  ])("%s, before any work is done", async (_name, change, message) => {
    const tensors = hubTensors();
    change(tensors);
    const target = newTarget();
    const progress: number[] = [];
    const conversion = convertCheckpoint(writeCheckpoint(hubConfig, tensors), target, {
      ...options,
      onProgress: (bytes) => progress.push(bytes),
    });

    await expect(conversion).rejects.toThrow(message);
    expect([progress, readdirSync(dirname(target))]).toEqual([[], []]);
  });

  test("a target that cannot be written", async () => {
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    const conversion = convertCheckpoint(writeCheckpoint(hubConfig, hubTensors()), join(file, "model"), options);

    await expect(conversion).rejects.toThrow(/^cannot write .*check the folder and its permissions$/);
    expect(readdirSync(dirname(file))).toEqual(["file"]);
  });
});

test("free disk space is compared before the work, and both numbers are said", () => {
  const folder = temporaryFolder();

  requireDiskSpace(folder, 1);
  expect(() => requireDiskSpace(folder, 2 ** 60)).toThrow(/needs 1048576\.0 TiB of disk space, but only \d+\.\d [GT]iB is free/);
});

test.skipIf(!existsSync("/proc/self"))("a file system that does not report its free space is not taken for a full one", () => {
  requireDiskSpace("/proc", 1);
});

test("of two conversions to one target at a time, the second waits and takes the result of the first", async () => {
  const checkpoint = writeCheckpoint(hubConfig, hubTensors());
  const target = newTarget();
  mkdirSync(target);
  const log: string[] = [];
  const start = (name: string): Promise<readonly string[]> =>
    convertCheckpoint(checkpoint, target, {
      ...options,
      overwrite: true,
      onProgress: () => log.push(name),
      onWait: () => log.push(`${name} waits`),
    });

  await Promise.all([start("first"), start("second")]);

  expect(new Set(log)).toEqual(new Set(["first", "second waits"]));
  await verifyFiles(target, readManifest(target));
});
