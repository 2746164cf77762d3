import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import { prepareKvScales, readKvScales, storeKvScales } from "../../src/cli/kv-scales.ts";
import { openSynthetic } from "../../src/convert/synthetic.ts";
import { UserError } from "../../src/core/errors.ts";
import { graphFiles } from "../../src/core/graph-io.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import { makeManifest } from "../convert/make-manifest.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const { config } = openSynthetic("nano");
const { layerCount, kvHeadCount, headDim } = config.text;
const scales = Float32Array.from({ length: layerCount * 2 * kvHeadCount * headDim }, (_, i) => 0.01 + i / 1000);
let cache: string;

beforeEach(() => {
  cache = temporaryFolder();
  vi.stubEnv("ERNIE_VL_CACHE", cache);
});
afterAll(() => void vi.unstubAllEnvs());

function manifestOf(decoderHash: string, names: readonly string[] = [graphFiles.decoderInt8Cache]): Manifest {
  const file = { bytes: 1, sha256: decoderHash };
  return makeManifest({ config, files: Object.fromEntries([`${graphFiles.decoder}.data`, ...names].map((name) => [name, file])) });
}

test("what was stored is read again, bit by bit, and nothing else is left in the folder", () => {
  expect(storeKvScales(manifestOf("a"), scales)).toBeUndefined();

  expect(readKvScales(manifestOf("a"))).toEqual(scales);
  expect(readdirSync(join(cache, "kv-scales"))).toEqual(["a.json"]);
});

test("a model whose scales are known is not measured", async () => {
  storeKvScales(manifestOf("a"), scales);
  const said: string[] = [];

  const known = await prepareKvScales({ folder: "model", manifest: manifestOf("a") }, "cpu", 1, (line) => said.push(line));

  expect(known).toEqual(scales);
  expect(said).toEqual([]);
});

const sameBeginning = "0123456789abcdef";
test.each<[string, () => void]>([
  ["no file", () => {}],
  ["a file that cannot be read", () => mkdirSync(join(cache, "kv-scales", `${sameBeginning}.json`), { recursive: true })],
  ["scales of other weights", () => storeKvScales(manifestOf(`${sameBeginning}b`), scales)],
  ["too few of them", () => storeKvScales(manifestOf(`${sameBeginning}a`), scales.subarray(1))],
  [
    "a scale that is not positive",
    () =>
      storeKvScales(
        manifestOf(`${sameBeginning}a`),
        scales.map((scale, i) => (i === 3 ? 0 : scale)),
      ),
  ],
  [
    "a file cut short",
    () => {
      storeKvScales(manifestOf(`${sameBeginning}a`), scales);
      writeFileSync(join(cache, "kv-scales", `${sameBeginning}.json`), '{"decoder":"a","sca');
    },
  ],
])("%s: there are none", (_, prepare) => {
  prepare();

  expect(readKvScales(manifestOf(`${sameBeginning}a`))).toBeUndefined();
});

test("a cache folder that cannot be had is no error, but a reason", () => {
  writeFileSync(join(cache, "kv-scales"), "a file in its place");

  expect(storeKvScales(manifestOf("a"), scales)).toMatch(/^cannot write .*kv-scales.*: file already exists$/);
});

test("a model converted without the graph for it is refused with what to do", async () => {
  const prepared = prepareKvScales({ folder: "model", manifest: manifestOf("a", []) }, "cpu", 1, () => {});

  await expect(prepared).rejects.toThrow(UserError);
  await expect(prepared).rejects.toThrow(/convert it again, or use --kv-cache-dtype auto$/);
});
