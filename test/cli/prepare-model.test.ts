import { cpSync, existsSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { convertWithProgress, prepareModel } from "../../src/cli/prepare-model.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const root = temporaryFolder();
afterEach(() => vi.unstubAllEnvs());

const lfsPointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 1614363\n`;
const options = { settings: { weights: "fp32", activations: "fp32" }, programVersion: "1.0.0" } as const;

describe("a checkpoint is refused before anything is converted when", () => {
  test.each<[string, (folder: string) => void, RegExp]>([
    ["it has no tokenizer", (folder) => rmSync(join(folder, "tokenizer.json")), /expected a tokenizer \(tokenizer\.json, .*found none/],
    [
      "it is of another model, whatever else it lacks",
      (folder) => {
        writeFileSync(join(folder, "config.json"), '{"model_type": "llama"}');
        rmSync(join(folder, "tokenizer.json"));
      },
      /this program serves ERNIE-4\.5-VL only\), got "llama"/,
    ],
    [
      "it was cloned without Git LFS",
      (folder) => {
        rmSync(join(folder, "tokenizer.json"));
        writeFileSync(join(folder, "tokenizer.model"), lfsPointer);
        writeFileSync(join(folder, "model.safetensors"), lfsPointer);
      },
      /tokenizer\.model: expected the file itself, got a Git LFS pointer; fetch it with git lfs pull$/,
    ],
    [
      "it was cloned without Git LFS, where that keeps JSON too",
      (folder) => writeFileSync(join(folder, "tokenizer.json"), lfsPointer),
      /tokenizer\.json: expected the file itself, got a Git LFS pointer/,
    ],
    ["its chat template is broken", (folder) => writeFileSync(join(folder, "chat_template.jinja"), "{% if %}"), /chat_template\.jinja/],
    [
      "its recommended sampling is broken",
      (folder) => writeFileSync(join(folder, "generation_config.json"), "{"),
      /generation_config\.json: expected valid JSON, got an error/,
    ],
    [
      "its settings of videos are broken",
      (folder) => writeFileSync(join(folder, "video_preprocessor_config.json"), '{"fps": -1}'),
      /video_preprocessor_config\.json: .*fps/,
    ],
  ])("%s", async (name, damage, message) => {
    const folder = join(root, name);
    const target = join(root, "converted");
    cpSync(nanoModel, folder, { recursive: true });
    damage(folder);
    const said: string[] = [];

    const conversion = convertWithProgress({ type: "checkpoint", folder }, target, options, (line) => said.push(line));

    await expect(conversion).rejects.toThrow(message);
    expect(said).toEqual([]);
    expect(existsSync(target)).toBe(false);
    expect(readdirSync(root).filter((entry) => entry.endsWith(".partial"))).toEqual([]);
  });
});

test("a cache folder that cannot be had is refused before anything is converted, with the variable that names another", async () => {
  const file = join(root, "file");
  writeFileSync(file, "");
  vi.stubEnv("ERNIE_VL_CACHE", join(file, "cache"));
  const said: string[] = [];

  const prepared = prepareModel(nanoModel, options.settings, (line) => said.push(line));

  await expect(prepared).rejects.toThrow(
    `cannot cache conversions in ${file}/cache: not a directory; set ERNIE_VL_CACHE to another folder`,
  );
  expect(said).toEqual([]);
});

test.each([
  ["manifest.json", (path: string) => truncateSync(path, 100)],
  ["decoder.onnx", (path: string) => writeFileSync(path, Buffer.alloc(statSync(path).size))], // of the same size
])("a cached conversion that is damaged is made again: %s", async (name, damage) => {
  vi.stubEnv("ERNIE_VL_CACHE", join(root, "cache"));
  const made = await prepareModel(nanoModel, options.settings, () => {});
  const files = readdirSync(made.folder);
  damage(join(made.folder, name));
  const said: string[] = [];

  const again = await prepareModel(nanoModel, options.settings, (line) => said.push(line));

  expect(said[0]).toContain(`The cached conversion is damaged, converting again (${join(made.folder, name)}: expected`);
  expect(again).toEqual(made);
  expect(readdirSync(made.folder)).toEqual(files);
});
