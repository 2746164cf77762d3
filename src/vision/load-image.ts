// One picture of a request, from the bytes of its file to the patches the vision tower takes.

import type { ImagePatches } from "../core/prompt.ts";
import { decodeImage, type ImageLimits } from "./decode-image.ts";
import { toImagePatches } from "./patchify.ts";
import { resizeBicubic } from "./resize-bicubic.ts";
import { smartResize, type PixelLimits } from "./smart-resize.ts";

export type ImageRequest = {
  /** Pixel budget after scaling, when lower than the model's own. */
  readonly maxPixels?: number | undefined;
  /** Where the picture stands in the request, for error messages. */
  readonly param: string;
};

/** Runs on the calling thread for up to some 100 ms; the server goes through `createImageLoader`. Throws RequestError. */
export async function loadImage(bytes: Uint8Array, request: ImageRequest, model: PixelLimits, limits: ImageLimits): Promise<ImagePatches> {
  const image = await decodeImage(bytes, limits, request.param);
  const maxPixels = Math.max(model.minPixels, Math.min(model.maxPixels, request.maxPixels ?? model.maxPixels));
  const size = smartResize(image, { minPixels: model.minPixels, maxPixels });
  return toImagePatches([resizeBicubic(image, size)]);
}
