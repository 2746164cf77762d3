// How a model expects videos: from a checkpoint's settings of its video processor, otherwise the published values (model spec, 5.3).

import { z } from "zod";
import { count, positive } from "../core/read-json.ts";
import type { PixelLimits } from "./smart-resize.ts";

export type VideoConfig = {
  /** Pixels of each frame after scaling. */
  readonly pixels: PixelLimits;
  /** Frames sampled per second of video … */
  readonly fps: number;
  /** … within these bounds. A video with fewer frames than `minFrames` gives all it has. */
  readonly minFrames: number;
  readonly maxFrames: number;
  /** The time is drawn in a corner of each frame. */
  readonly drawsTimestamps: boolean;
};

const tokenPixels = 28 * 28;

/** Settings of a checkpoint's video processor. Messages complete "expected …". */
export const videoSettings = z.object({
  size: z.object({ shortest_edge: count.nullish(), longest_edge: count.nullish() }).nullish(),
  fps: positive.nullish(),
  min_frames: count.nullish(),
  max_frames: count.nullish(),
  draw_on_frames: z.boolean().nullish(),
});

/** Takes the checkpoint's values, and the published ones for the rest. */
export function toVideoConfig(settings: z.output<typeof videoSettings> = {}): VideoConfig {
  const { size, fps, min_frames: minFrames, max_frames: maxFrames, draw_on_frames: drawsTimestamps } = settings;
  return {
    pixels: { minPixels: size?.shortest_edge ?? 299 * tokenPixels, maxPixels: size?.longest_edge ?? 1196 * tokenPixels },
    fps: fps ?? 2,
    minFrames: minFrames ?? 16,
    maxFrames: maxFrames ?? 180,
    drawsTimestamps: drawsTimestamps ?? true,
  };
}
