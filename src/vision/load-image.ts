// Pictures of a request, from the bytes of their files to the patches the vision tower takes.

import type { ImagePatches } from "../core/prompt.ts";
import { decodeImage, defaultImageLimits, type ImageLimits } from "./decode-image.ts";
import { toImagePatches } from "./patchify.ts";
import type { PixelBudget } from "./pixel-budget.ts";
import { resizeBicubic } from "./resize-bicubic.ts";
import { smartResize, type PixelLimits } from "./smart-resize.ts";

export type ImageRequest = {
  /** Pixel budget after scaling, when lower than the model's own. */
  readonly maxPixels?: number | undefined;
  /** Shared with the other pictures of the request. */
  readonly pixelBudget?: PixelBudget | undefined;
  /** Where the picture stands in the request, for error messages. */
  readonly param: string;
};

/** Keeps the calling thread busy for up to some 100 ms; the server goes through `createImageLoader`. Throws RequestError. */
export async function loadImage(
  bytes: Uint8Array,
  model: PixelLimits,
  request: ImageRequest,
  limits: ImageLimits = defaultImageLimits,
): Promise<ImagePatches> {
  return loadFrames([bytes], model, request, limits);
}

/** Like `loadImage` for the frames of a video, each an image file; all are scaled to the size that suits the first. */
export async function loadFrames(
  files: readonly Uint8Array[],
  model: PixelLimits,
  request: ImageRequest,
  limits: ImageLimits = defaultImageLimits,
): Promise<ImagePatches> {
  const frames = await Promise.all(files.map((bytes) => decodeImage(bytes, limits, request.param, request.pixelBudget)));
  const maxPixels = Math.max(model.minPixels, Math.min(model.maxPixels, request.maxPixels ?? model.maxPixels));
  const size = smartResize(frames[0]!, { minPixels: model.minPixels, maxPixels });
  return toImagePatches(frames.map((frame) => resizeBicubic(frame, size)));
}
