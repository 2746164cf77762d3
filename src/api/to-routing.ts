// Which experts processed an answer's tokens, in the form that a choice of a chat completion has (docs/routing.md).

import { RequestError } from "../core/errors.ts";
import { tokenGrid } from "../core/prompt.ts";
import type { ModalityRouting, PictureRouting, SequenceRouting } from "../core/routing.ts";
import type { AppOptions } from "./app-options.ts";

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

/** `favourites`: for each layer, one byte per token of the picture, row by row, in base64. 255: not computed, because it was in the cache. */
function toPicture(picture: PictureRouting, layerCount: number) {
  const { times, rows, columns } = tokenGrid(picture);
  const grid = { frames: times, rows, columns };
  const { favourites } = picture;
  if (!favourites) return { ...grid, favourites: null };
  const length = favourites.length / layerCount;
  const ofLayer = (layer: number) => Buffer.from(favourites.subarray(layer * length, (layer + 1) * length)).toString("base64");
  return { ...grid, favourites: Array.from({ length: layerCount }, (_, layer) => ofLayer(layer)) };
}

/** Throws RequestError when routing is asked for and the server does not expose it. */
export function refuseHiddenRouting(wantsRouting: boolean | undefined, { exposesRouting }: Pick<AppOptions, "exposesRouting">): void {
  if (!wantsRouting || exposesRouting) return;
  throw new RequestError("return_routing: only supported when the server was started with --expose-routing; leave it out", {
    code: "unsupported_parameter",
    param: "return_routing",
  });
}
