// Which experts an answer's tokens went to, as a choice of a chat completion says it (docs/routing.md).

import { RequestError } from "../core/errors.ts";
import type { ModalityRouting, PictureRouting, SequenceRouting } from "../core/routing.ts";
import type { AppOptions } from "./app-options.ts";

/** Patches on each side of the square that is one token. */
const mergeSize = 2;

export function toRouting({ layers, expertCount, topK, text, vision, pictures }: SequenceRouting) {
  return {
    layers: [...layers],
    experts: { text: [0, expertCount], vision: [expertCount, 2 * expertCount] },
    experts_per_token: topK,
    computed_tokens: { text: text.tokens, vision: vision.tokens },
    text: toRows(text, layers.length),
    vision: toRows(vision, layers.length),
    pictures: pictures.map((picture) => toPicture(picture, layers.length)),
  };
}

/** [layers][experts of both banks] */
function toRows({ counts }: ModalityRouting, layerCount: number): number[][] {
  const width = counts.length / layerCount;
  return Array.from({ length: layerCount }, (_, layer) => [...counts.subarray(layer * width, (layer + 1) * width)]);
}

/** `favourites`: per layer a byte for each token of the picture, in base64, row by row; 255: not computed, it was in the cache. */
function toPicture({ frameCount, patchRows, patchColumns, favourites }: PictureRouting, layerCount: number) {
  const grid = { frames: frameCount === 1 ? 1 : frameCount / 2, rows: patchRows / mergeSize, columns: patchColumns / mergeSize };
  if (!favourites) return { ...grid, favourites: null };
  const length = favourites.length / layerCount;
  const ofLayer = (layer: number) => Buffer.from(favourites.subarray(layer * length, (layer + 1) * length)).toString("base64");
  return { ...grid, favourites: Array.from({ length: layerCount }, (_, layer) => ofLayer(layer)) };
}

/** Throws RequestError when routing is asked for, and the server does not tell. */
export function refuseHiddenRouting(wantsRouting: boolean | undefined, { exposesRouting }: Pick<AppOptions, "exposesRouting">): void {
  if (!wantsRouting || exposesRouting) return;
  throw new RequestError("return_routing: expected a server that was started with --expose-routing, got one without; leave it out", {
    code: "unsupported_parameter",
    param: "return_routing",
  });
}
