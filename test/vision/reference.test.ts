// Pixels and positions of every case of the reference, exact.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadImage } from "../../src/vision/load-image.ts";
import { assignPositions, type PromptRun } from "../../src/vision/positions.ts";
import type { PixelLimits } from "../../src/vision/smart-resize.ts";
import { toVideoConfig } from "../../src/vision/video-config.ts";
import { hasTinyA, tinyA, tinyACases, tinyAPixelLimits } from "../reference/tiny-a.ts";
import { load } from "./load-video.ts";

function videoConfig({ minPixels, maxPixels }: PixelLimits) {
  return toVideoConfig({ size: { shortest_edge: minPixels, longest_edge: maxPixels }, draw_on_frames: false });
}

const pictureCases = tinyACases.filter(({ segments }) => segments.some(({ type }) => type !== "text"));

describe.skipIf(!hasTinyA)("the reference's cases", () => {
  test.each(pictureCases)("have the patches of their pictures: $name", async ({ segments, tensors }) => {
    const limits = tinyAPixelLimits;
    const expected = tensors.get("pixel_u8")!.data;
    let start = 0;
    for (const segment of segments) {
      if (segment.type === "text") continue;
      const read = (name: string) => readFileSync(join(tinyA, "images", name));
      const image =
        segment.type === "image"
          ? await loadImage(read(segment.file), limits, { param: segment.file })
          : (await load({ type: "frames", files: segment.files.map(read) }, { config: videoConfig(limits) })).video;

      expect([image.frameCount, image.patchRows, image.patchColumns]).toEqual(segment.grid_thw);
      expect(image.patches).toEqual(expected.subarray(start, start + image.patches.length));
      start += image.patches.length;
    }
    expect(start).toBe(expected.length);
  });

  test.each(tinyACases)("have the positions of their tokens: $name", ({ segments, tensors }) => {
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
});
