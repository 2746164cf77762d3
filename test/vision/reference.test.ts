// Pixels and positions of every case of the reference fixtures, exact. They lie beside the repository; a clone without them skips.

import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { loadImage } from "../../src/vision/load-image.ts";
import { assignPositions, type PromptRun } from "../../src/vision/positions.ts";
import type { PixelLimits } from "../../src/vision/smart-resize.ts";
import { toVideoConfig } from "../../src/vision/video-config.ts";
import { readSafetensors } from "../reference/read-safetensors.ts";
import { load } from "./load-video.ts";

type Grid = readonly [frameCount: number, patchRows: number, patchColumns: number];
type Segment =
  | { readonly type: "text"; readonly tokens: number }
  | { readonly type: "image"; readonly file: string; readonly grid_thw: Grid }
  | { readonly type: "video"; readonly files: readonly string[]; readonly grid_thw: Grid };
type ReferenceManifest = {
  readonly preprocessing: { readonly min_pixels: number; readonly max_pixels: number };
  readonly cases: Readonly<Record<string, { readonly file: string; readonly segments: readonly Segment[] }>>;
};

const folder = new URL("../../../shared/reference/tiny-a/", import.meta.url);
const manifestFile = new URL("manifest.json", folder);
const isPresent = existsSync(manifestFile);
const manifest = isPresent ? (JSON.parse(readFileSync(manifestFile, "utf8")) as ReferenceManifest) : undefined;
const cases = Object.entries(manifest?.cases ?? {}).map(([name, { file, segments }]) => ({ name, file, segments }));

if (!isPresent) test.skip("needs the reference folder beside the repository", () => {});

function videoConfig({ minPixels, maxPixels }: PixelLimits) {
  return toVideoConfig({ size: { shortest_edge: minPixels, longest_edge: maxPixels }, draw_on_frames: false });
}

test.each(cases.filter(({ segments }) => segments.some(({ type }) => type !== "text")))(
  "cuts the pictures of $name into the reference's patches",
  async ({ file, segments }) => {
    const limits = { minPixels: manifest!.preprocessing.min_pixels, maxPixels: manifest!.preprocessing.max_pixels };
    const expected = readSafetensors(new URL(file, folder)).get("pixel_u8")!.data;
    let start = 0;
    for (const segment of segments) {
      if (segment.type === "text") continue;
      const read = (name: string) => readFileSync(new URL(`images/${name}`, folder));
      const image =
        segment.type === "image"
          ? await loadImage(read(segment.file), limits, { param: segment.file })
          : (await load({ type: "frames", files: segment.files.map(read) }, { config: videoConfig(limits) })).video;

      expect([image.frameCount, image.patchRows, image.patchColumns]).toEqual(segment.grid_thw);
      expect(image.patches).toEqual(expected.subarray(start, start + image.patches.length));
      start += image.patches.length;
    }
    expect(start).toBe(expected.length);
  },
);

test.each(cases)("gives the tokens of $name the reference's positions", ({ file, segments }) => {
  const tensors = readSafetensors(new URL(file, folder));
  const delimiter: PromptRun = { type: "text", length: 1 };
  const runs = segments.flatMap((segment): PromptRun[] => {
    if (segment.type === "text") return [{ type: "text", length: segment.tokens }];
    const [frameCount, patchRows, patchColumns] = segment.grid_thw;
    return [delimiter, { type: "vision", frameCount, patchRows, patchColumns }, delimiter];
  });

  const { positions, positionDelta } = assignPositions(runs);

  expect(positions).toEqual(tensors.get("position_ids")!.data);
  expect(Int32Array.of(positionDelta)).toEqual(tensors.get("rope_delta")!.data);
});
