// How a model wants videos; from a checkpoint's `video_preprocessor_config.json`, else as published (model spec, 5.3).

import { z } from "zod";
import type { PixelLimits } from "./smart-resize.ts";

export type VideoConfig = {
  /** Pixels of each frame, once scaled. */
  readonly pixels: PixelLimits;
  /** Frames taken for each second of a video … */
  readonly fps: number;
  /** … but at least, if it has them, and at most so many. */
  readonly minFrames: number;
  readonly maxFrames: number;
  /** Each frame shows its time in a corner. */
  readonly drawsTimestamps: boolean;
};

const tokenPixels = 28 * 28;

const count = z.int().min(1);
const processor = z.object({
  size: z.object({ shortest_edge: count.nullish(), longest_edge: count.nullish() }).nullish(),
  fps: z.number().positive().nullish(),
  min_frames: count.nullish(),
  max_frames: count.nullish(),
  draw_on_frames: z.boolean().nullish(),
});

/** Takes what the file says, and what was published for the rest. Throws ZodError when a value is of the wrong kind. */
export function toVideoConfig(file: object = {}): VideoConfig {
  const { size, fps, min_frames: minFrames, max_frames: maxFrames, draw_on_frames: drawsTimestamps } = processor.parse(file);
  return {
    pixels: { minPixels: size?.shortest_edge ?? 299 * tokenPixels, maxPixels: size?.longest_edge ?? 1196 * tokenPixels },
    fps: fps ?? 2,
    minFrames: minFrames ?? 16,
    maxFrames: maxFrames ?? 180,
    drawsTimestamps: drawsTimestamps ?? true,
  };
}
