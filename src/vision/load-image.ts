// Pictures of a request, from the bytes of their files to the patches the vision tower takes.

import type { ImagePatches } from "../core/prompt.ts";
import { decodeImage } from "./decode-image.ts";
import { drawTimestamp } from "./draw-timestamp.ts";
import { toImagePatches } from "./patchify.ts";
import type { PixelBudget } from "./pixel-budget.ts";
import { resizeBicubic } from "./resize-bicubic.ts";
import type { RgbImage } from "./rgb-image.ts";
import { smartResize, type PixelLimits, type Size } from "./smart-resize.ts";

export type ImageRequest = {
  /** Pixel budget after scaling, when lower than the model's own. */
  readonly maxPixels?: number | undefined;
  /** Shared with the other pictures of the request. */
  readonly pixelBudget?: PixelBudget | undefined;
  /** Pixel limits after scaling in place of the model's for pictures: a frame has others. */
  readonly pixels?: PixelLimits | undefined;
  /** The size to scale to, whatever the limits: that of the video whose frame this is. */
  readonly size?: Size | undefined;
  /** Drawn in the corner before scaling. */
  readonly timestamp?: string | undefined;
  /** Where the picture stands in the request, for error messages. */
  readonly param: string;
};

/**
 * From the bytes of a file, or from pixels, which may be drawn on. Keeps the calling thread busy for up to some 100 ms; the server goes
 * through `createImageLoader`. Throws RequestError.
 */
export async function loadImage(source: Uint8Array | RgbImage, model: PixelLimits, request: ImageRequest): Promise<ImagePatches> {
  const image = source instanceof Uint8Array ? await decodeImage(source, request.param, request.pixelBudget) : source;
  if (request.timestamp !== undefined) await drawTimestamp(image, request.timestamp);
  return toImagePatches(resizeBicubic(image, request.size ?? chooseSize(image, request.pixels ?? model, request)));
}

function chooseSize(image: Size, model: PixelLimits, request: ImageRequest): Size {
  const maxPixels = Math.max(model.minPixels, Math.min(model.maxPixels, request.maxPixels ?? model.maxPixels));
  return smartResize(image, { minPixels: model.minPixels, maxPixels });
}
