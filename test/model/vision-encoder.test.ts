// A video that is encoded in pieces, a picture layer by layer; a tower of fewer bits.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { relativeError } from "../../scripts/relative-error.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import { graphFiles } from "../../src/core/graph-io.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import { spanLength, type ImagePatches } from "../../src/core/prompt.ts";
import { cutVideo } from "../../src/engine/cut-video.ts";
import { VisionEncoder } from "../../src/model/vision-encoder.ts";
import { isHostMemory, type Memory } from "../../src/runtime/device.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { hasTinyA, tinyA, tinyACases } from "../reference/tiny-a.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const work = temporaryFolder();
const images = tinyACases.flatMap(({ prompt }) => prompt.spans.map(({ image }) => image));
const videos = images.filter(({ frameCount }) => frameCount > 2);
let manifest: Manifest;

beforeAll(async () => {
  const settings = { weights: "fp32", activations: "fp32" } as const;
  await convertCheckpoint(join(tinyA, "checkpoint-hub"), work, { settings, programVersion: "test" });
  manifest = JSON.parse(readFileSync(join(work, "manifest.json"), "utf8")) as Manifest;
});

function makeEncoder(model = work) {
  const runtime = new Runtime();
  const customOpsLibrary = findKernelLibrary();
  const session = runtime.openSession(join(model, graphFiles.vision), { threadCount: 1, ...(customOpsLibrary && { customOpsLibrary }) });
  return new VisionEncoder(runtime, session, manifest.config, "float32", 1 << 24);
}

function valuesOf(memory: Memory, rows: number): Float32Array {
  if (!isHostMemory(memory)) throw new Error("a CPU's memory is the host's");
  return new Float32Array(memory.bytes, 0, rows * manifest.config.text.hiddenSize).slice();
}

test.skipIf(!hasTinyA)("the pieces of a video have the features that it has as a whole", () => {
  expect(videos.length).toBeGreaterThan(0);
  for (const video of videos) {
    const encoder = makeEncoder();
    const whole = encoder.run(video);
    const expected = valuesOf(whole.memory, spanLength(video));
    whole.dispose();

    const pieces = cutVideo({ start: 0, length: spanLength(video), image: video }, 2 * video.patchRows * video.patchColumns);
    const features = pieces.flatMap(({ image, length }) => [...valuesOf(encoder.encode(image), length)]);

    expect(pieces).toHaveLength(video.frameCount / 2);
    expect(pieces.every(({ image }) => encoder.has(image))).toBe(true);
    expect(features).toHaveLength(expected.length);
    // Kernels may sum in another order for another number of rows.
    features.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-5));
    encoder.dispose();
  }
});

describe.skipIf(!hasTinyA)("pictures that are encoded layer by layer, in turns", () => {
  const [first, second, third] = ["a", "b", "c"].map((hash, i) => ({ ...images[i]!, hash })) as [ImagePatches, ImagePatches, ImagePatches];
  let layerCount: number;
  beforeAll(() => {
    layerCount = manifest.config.vision.layerCount;
  });

  test("have the very features that they have at once", () => {
    const encoder = makeEncoder();
    for (let layer = 0; layer < layerCount; layer++) {
      expect([first, second].map((image) => encoder.has(image))).toEqual([false, false]);
      for (const image of [first, second]) encoder.advance(image, 1);
    }
    for (const image of [first, second]) {
      expect(encoder.has(image)).toBe(true);
      const whole = encoder.run(image);
      const rows = spanLength(image);
      expect(valuesOf(encoder.encode(image), rows)).toEqual(valuesOf(whole.memory, rows));
      whole.dispose();
    }
    encoder.dispose();
  });

  test("go on where they were, unless two others were begun or continued since", () => {
    const encoder = makeEncoder();
    const advance = (image: ImagePatches, layers: number) => encoder.advance(image, layers);
    advance(first, layerCount - 1);
    advance(second, layerCount - 1);
    advance(third, 1); // the first is forgotten
    advance(second, 1);
    advance(first, 1);
    advance(third, layerCount - 1);
    expect([first, second, third].map((image) => encoder.has(image))).toEqual([false, true, true]);
    encoder.encode(first);
    expect(encoder.has(first)).toBe(true);
    encoder.dispose();
  });
});

test.skipIf(!hasTinyA || !findKernelLibrary())("a tower of int8 gives nearly the features of one in fp32", async () => {
  const model = temporaryFolder();
  const settings = { weights: "int8", activations: "fp32", experts: "modality-moe" } as const;
  await convertCheckpoint(join(tinyA, "checkpoint-hub"), model, { settings, programVersion: "test" });
  const [exact, rounded] = [makeEncoder(), makeEncoder(model)];

  for (const image of images) {
    const [expected, features] = [exact, rounded].map((encoder) => valuesOf(encoder.encode(image), spanLength(image)));
    const error = relativeError(features!, expected!);

    // Each matrix adds 5e-3 (half precision: 2e-4), as noise does, and some twenty stand one behind the other.
    expect(error).toBeGreaterThan(5e-3);
    expect(error).toBeLessThan(4e-2);
  }
  for (const encoder of [exact, rounded]) encoder.dispose();
});
