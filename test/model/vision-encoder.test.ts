// A video that is encoded in several steps.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readReference } from "../../scripts/parity/reference-case.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import { graphFiles } from "../../src/core/graph-io.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import { spanLength } from "../../src/core/prompt.ts";
import { VisionEncoder } from "../../src/model/vision-encoder.ts";
import { isHostMemory, type Memory } from "../../src/runtime/device.ts";
import { Runtime } from "../../src/runtime/runtime.ts";

const folder = fileURLToPath(new URL("../../../shared/reference/tiny-a", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "ernie-vl-vision-"));
const images = readReference(folder).cases.flatMap(({ prompt }) => prompt.spans.map(({ image }) => image));
const videos = images.filter(({ frameCount }) => frameCount > 2);
const picture = images.find(({ frameCount }) => frameCount === 1)!;
let manifest: Manifest;

beforeAll(async () => {
  const settings = { weights: "fp32", activations: "fp32" } as const;
  await convertCheckpoint(join(folder, "checkpoint-hub"), work, { settings, programVersion: "test" });
  manifest = JSON.parse(readFileSync(join(work, "manifest.json"), "utf8")) as Manifest;
});
afterAll(() => rmSync(work, { recursive: true }));

/** `maxPixels`: of the largest picture, and so of the frames of one step. */
function makeEncoder(maxPixels: number) {
  const runtime = new Runtime();
  const session = runtime.openSession(join(work, graphFiles.vision), { threadCount: 1 });
  const config = { ...manifest.config, image: { ...manifest.config.image, maxPixels } };
  return new VisionEncoder(runtime, session, config, "float32", 1 << 24);
}

function valuesOf(memory: Memory, rows: number): Float32Array {
  if (!isHostMemory(memory)) throw new Error("a CPU's memory is the host's");
  return new Float32Array(memory.bytes, 0, rows * manifest.config.text.hiddenSize).slice();
}

test("has the features that it has when encoded at once, whatever came between or before", () => {
  expect(videos.length).toBeGreaterThan(0);
  for (const video of videos) {
    const pair = 2 * video.patchRows * video.patchColumns * manifest.config.vision.patchSize ** 2;
    const encoder = makeEncoder(pair);
    const rows = spanLength(video);
    const whole = encoder.run(video);
    const expected = valuesOf(whole.memory, rows);
    whole.dispose();

    expect(encoder.encodeNext(video)).toBe(false);
    encoder.encode(picture); // the video starts anew
    let steps = 1;
    while (!encoder.encodeNext(video)) {
      expect(encoder.has(video)).toBe(false);
      steps++;
    }

    expect(steps).toBe(video.frameCount / 2);
    expect(encoder.has(video)).toBe(true);
    const features = valuesOf(encoder.encode(video), rows);
    // Kernels may sum in another order for another number of rows.
    features.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-5));
    encoder.dispose();
  }
});

test("takes one step where its frames have no more pixels than a picture may have", () => {
  const encoder = makeEncoder(1e9);

  expect(videos.map((video) => encoder.encodeNext(video))).toEqual(videos.map(() => true));
  encoder.dispose();
});
