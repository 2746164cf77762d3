// The pictures of one request, whichever route and spelling they come by: bytes of their files, within limits that they share.

import { setMaxListeners } from "node:events";
import type { ImagePart } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import { LinkedAbort } from "../core/linked-abort.ts";
import type { MediaReader } from "../core/media.ts";
import { WorkGate } from "../core/work-gate.ts";
import type { RequestLimits } from "./app-options.ts";
import { decodeDataUri } from "./data-uri.ts";

/** `detail: "low"`: at most 256 tokens of 28 × 28 pixels, a picture of about 448 × 448. */
const lowDetailPixels = 256 * 28 * 28;

export type ImageSource = {
  readonly url: string;
  readonly detail?: "auto" | "low" | "high" | undefined;
  /** The field that holds the URL, for error messages. */
  readonly param: string;
};

/** Of one request at a time, so that one that names slow hosts does not take the places of all. */
const concurrentReads = 4;

export class MediaParts {
  readonly #limits: RequestLimits;
  readonly #reader: MediaReader;
  readonly #gate = new WorkGate(concurrentReads, Infinity);
  /** The first failure ends what else is being read for the request. */
  readonly #abort: LinkedAbort;
  #imageCount = 0;
  #byteCount = 0;

  /** `signal` aborts when the client has gone. */
  constructor(limits: RequestLimits, reader: MediaReader, signal: AbortSignal) {
    this.#limits = limits;
    this.#reader = reader;
    this.#abort = new LinkedAbort(signal);
    setMaxListeners(limits.imageCount + 10, this.#abort.signal); // each waiting picture listens
  }

  /** Throws RequestError when the picture cannot be had, or is one too many. */
  async image({ url, detail, param }: ImageSource): Promise<ImagePart> {
    try {
      this.#countImage(param);
      const bytes = await this.#read(url, param, this.#limits.imageBytes);
      return { type: "image", bytes, ...(detail === "low" && { maxPixels: lowDetailPixels }), param };
    } catch (error) {
      this.#abort.abort(error);
      throw error;
    }
  }

  #countImage(param: string): void {
    const { imageCount } = this.#limits;
    if (++this.#imageCount <= imageCount) return;
    throw new RequestError(`${param}: expected at most ${imageCount} pictures in one request, got more; send fewer`, {
      code: "too_many_images",
      param,
    });
  }

  async #read(url: string, param: string, maxBytes: number): Promise<Uint8Array> {
    const { signal } = this.#abort;
    const bytes = /^\s*data:/i.test(url)
      ? decodeDataUri(url, param, maxBytes)
      : await this.#gate.run(() => this.#reader.read(url, { param, maxBytes, signal }), signal);
    this.#byteCount += bytes.length;
    if (this.#byteCount <= this.#limits.mediaBytes) return bytes;
    const limit = `${this.#limits.mediaBytes / 2 ** 20} MiB`;
    throw new RequestError(`${param}: expected at most ${limit} of files in one request, got more; send fewer or smaller ones`, {
      code: "image_file_too_large",
      param,
    });
  }
}
