import { cpSync, renameSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { cacheFolderFor, cacheRoot } from "../../src/convert/conversion-cache.ts";
import { workFolderPath } from "../../src/convert/work-folder.ts";
import { UserError } from "../../src/core/errors.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { hubConfig, hubTensors, writeCheckpoint, writeSafetensors } from "./tiny-checkpoint.ts";

afterEach(() => vi.unstubAllEnvs());

const settings = { weights: "int4", activations: "fp32" } as const;
const env = { ERNIE_VL_CACHE: "/cache" };

function nameFor(folder: string, chosen: Parameters<typeof cacheFolderFor>[1] = settings, version = "1.0.0"): string {
  return cacheFolderFor(folder, chosen, version, env);
}

test("the name says checkpoint and settings", () => {
  expect(nameFor(writeCheckpoint(hubConfig, hubTensors()))).toMatch(/^\/cache\/tiny-int4-fp32-[0-9a-f]{12}$/);
});

test.each([
  ["a b:c", "a_b_c"],
  ["文心 4.5（视觉）", "文心_4.5_视觉_"],
])("a name that is not fit for a folder is made so: %s", (name, fit) => {
  const folder = writeCheckpoint(hubConfig, hubTensors());
  const odd = join(dirname(folder), name);
  renameSync(folder, odd);

  expect(nameFor(odd)).toMatch(new RegExp(`^/cache/${fit}-int4-fp32-[0-9a-f]{12}$`));
});

test.each(["m".repeat(255), `m${"模型".repeat(42)}`])("a name as long as file systems allow leaves room for what is added: %s", (name) => {
  const folder = writeCheckpoint(hubConfig, hubTensors());
  const long = join(dirname(folder), name);
  renameSync(folder, long);

  const added = basename(workFolderPath(`${nameFor(long)}.calibration`));
  expect(Buffer.byteLength(added)).toBeLessThan(255);
  expect(added).not.toContain("\uFFFD");
});

test("the same checkpoint elsewhere has the same name, by relative path too", () => {
  const folder = writeCheckpoint(hubConfig, hubTensors());
  utimesSync(join(folder, "model.safetensors"), 0, 1_000_000);
  const copy = join(temporaryFolder(), "tiny");
  cpSync(folder, copy, { recursive: true, preserveTimestamps: true });

  expect(nameFor(copy)).toBe(nameFor(folder));
  expect(nameFor(`${relative(process.cwd(), folder)}/`)).toBe(nameFor(folder));
});

// Whoever reads this file as one of a model, root too, gets an input/output error.
test.runIf(process.platform === "linux")("a file that cannot be read is the operator's error", () => {
  const folder = writeCheckpoint(hubConfig, hubTensors());
  symlinkSync("/proc/self/mem", join(folder, "added_tokens.json"));

  expect(() => nameFor(folder)).toThrow(new UserError(`cannot read ${join(folder, "added_tokens.json")}: i/o error`));
});

describe("the name changes with", () => {
  test.each([
    ["the time of the weights", (folder: string) => utimesSync(join(folder, "model.safetensors"), 0, 1_000_001)],
    [
      "config.json, at the same size",
      (folder: string) => writeFileSync(join(folder, "config.json"), JSON.stringify({ ...hubConfig, vocab_size: 41 })),
    ],
    ["a new file", (folder: string) => writeFileSync(join(folder, "tokenizer.json"), "{}")],
    [
      "a tensor's name, at the same size and time",
      (folder: string) => {
        const path = join(folder, "model.safetensors");
        const { mtimeMs } = statSync(path);
        const { "model.norm.weight": norm, ...others } = hubTensors();
        writeSafetensors(path, { ...others, "model.form.weight": norm! });
        utimesSync(path, 0, mtimeMs / 1000);
      },
    ],
  ])("%s", (_, change) => {
    const folder = writeCheckpoint(hubConfig, hubTensors());
    utimesSync(join(folder, "model.safetensors"), 0, 1_000_000);
    const before = nameFor(folder);

    change(folder);

    expect(nameFor(folder)).not.toBe(before);
  });

  test("settings and program version", () => {
    const folder = writeCheckpoint(hubConfig, hubTensors());
    const names = [
      nameFor(folder),
      nameFor(folder, { weights: "int8", activations: "fp32" }),
      nameFor(folder, { weights: "int4", activations: "bf16" }),
      nameFor(folder, settings, "1.0.1"),
    ];

    expect(new Set(names.map((name) => name.slice(-12))).size).toBe(4);
  });
});

test("the name does not change with files that no conversion reads, or with a second look", () => {
  const folder = writeCheckpoint(hubConfig, hubTensors());
  const before = nameFor(folder);
  writeFileSync(join(folder, "README.md"), "");

  expect(nameFor(folder)).toBe(before);
});

test("a damaged checkpoint has a name as well", () => {
  const folder = writeCheckpoint(hubConfig, {});
  writeFileSync(join(folder, "model.safetensors"), Buffer.alloc(9, 0xff));

  expect(nameFor(folder)).toMatch(/^\/cache\/tiny-/);
});

test.each([
  [{ ERNIE_VL_CACHE: "/a", XDG_CACHE_HOME: "/b" }, "/a"],
  [{ XDG_CACHE_HOME: "/b" }, "/b/ernie-vl"],
  [{ XDG_CACHE_HOME: "relative" }, join(homedir(), ".cache/ernie-vl")],
  [{ ERNIE_VL_CACHE: "", XDG_CACHE_HOME: "" }, join(homedir(), ".cache/ernie-vl")],
])("%j puts the cache into %s", (variables, expected) => {
  expect(cacheRoot(variables)).toBe(expected);
});

test("an empty HOME does not put the cache into the current folder", () => {
  vi.stubEnv("HOME", "");

  expect(cacheRoot({})).toBe(join(userInfo().homedir, ".cache/ernie-vl"));
});
