// The pictures of one request, whichever route and spelling they come by: bytes of their files, within limits that they share.

import type { ImagePart } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import type { RequestLimits } from "./app-options.ts";
import { decodeDataUri } from "./data-uri.ts";
import { describe } from "./schema-fields.ts";

/** `detail: "low"`: at most 256 tokens of 28 × 28 pixels, a picture of about 448 × 448. */
const lowDetailPixels = 256 * 28 * 28;

export type ImageSource = {
  readonly url: string;
  readonly detail?: "auto" | "low" | "high" | undefined;
  /** The field that holds the URL, for error messages. */
  readonly param: string;
};

export class MediaParts {
  readonly #limits: RequestLimits;
  #imageCount = 0;

  constructor(limits: RequestLimits) {
    this.#limits = limits;
  }

  /** Throws RequestError when the picture cannot be had, or is one too many. */
  async image({ url, detail, param }: ImageSource): Promise<ImagePart> {
    const { imageCount, imageBytes } = this.#limits;
    if (++this.#imageCount > imageCount) {
      throw new RequestError(`${param}: expected at most ${imageCount} pictures in one request, got more; send fewer`, {
        code: "too_many_images",
        param,
      });
    }
    const scheme = /^\s*([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
    if (scheme !== "data") throw notADataUri(url, scheme, param);
    const bytes = decodeDataUri(url, param, imageBytes);
    return { type: "image", bytes, ...(detail === "low" && { maxPixels: lowDetailPixels }), param };
  }
}

function notADataUri(url: string, scheme: string | undefined, param: string): RequestError {
  const expected = `${param}: expected a data URI such as data:image/png;base64,…`;
  const options = { code: "invalid_image_url", param };
  if (scheme === "http" || scheme === "https") {
    return new RequestError(`${expected}, got ${scheme}:; remote images are not allowed on this server, send the picture itself`, options);
  }
  if (scheme === "file") {
    return new RequestError(`${expected}, got file:; files of the server are not allowed, send the picture itself`, options);
  }
  return new RequestError(`${expected}, got ${describe(url)}`, options);
}
