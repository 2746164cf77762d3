// What crosses the border between the server's thread and the pool that loads pictures.

import { type Refusal, RequestError, toRefusal } from "../core/errors.ts";
import type { ImagePatches } from "../core/prompt.ts";
import { loadImage, type ImageRequest } from "./load-image.ts";
import type { RgbImage } from "./rgb-image.ts";
import type { PixelLimits } from "./smart-resize.ts";

export type ImageTask = {
  readonly source: Uint8Array | RgbImage;
  readonly request: ImageRequest;
  readonly model: PixelLimits;
};

export type ImageResult = { readonly type: "loaded"; readonly image: ImagePatches } | ({ readonly type: "refused" } & Refusal);

export async function runImageTask({ source, request, model }: ImageTask): Promise<ImageResult> {
  try {
    return { type: "loaded", image: await loadImage(source, model, request) };
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return { type: "refused", ...toRefusal(error) };
  }
}

/** The picture, or the RequestError that the task ended with, thrown again. */
export function unwrapImageResult(result: ImageResult): ImagePatches {
  if (result.type === "refused") throw new RequestError(result.message, result.options);
  return result.image;
}
