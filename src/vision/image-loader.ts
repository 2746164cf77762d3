// Loads pictures on threads of their own, so that the event loop never waits for a decoder.

import { Piscina } from "piscina";
import { EngineError, RequestError } from "../core/errors.ts";
import type { ImageConfig } from "../core/model-config.ts";
import type { ImagePatches } from "../core/prompt.ts";
import { defaultImageLimits, type ImageLimits } from "./decode-image.ts";
import { unwrapImageResult, type ImageResult, type ImageTask } from "./image-task.ts";
import type { ImageRequest } from "./load-image.ts";

/** Two pictures of one request at a time; more threads would take cores from the model when it runs on the CPU. */
const threadCount = 2;
/** Bounds what waiting pictures may hold in memory. */
const maxWaitingImages = 256;

export type ImageLoader = {
  /** Throws RequestError: 400 for a bad picture, 429 when too many wait. `bytes` stay the caller's. */
  load(bytes: Uint8Array, request: ImageRequest): Promise<ImagePatches>;
  /** Ends the threads; pictures still in work fail. */
  close(): Promise<void>;
};

/** Threads start with the first picture and stay. Needs the compiled worker: works from dist/ only. */
export function createImageLoader(config: ImageConfig, limits: ImageLimits = defaultImageLimits): ImageLoader {
  const pool = new Piscina<ImageTask, ImageResult>({
    filename: new URL("./image-worker.js", import.meta.url).href,
    minThreads: 0,
    maxThreads: threadCount,
    idleTimeout: Infinity,
  });
  const model = { minPixels: config.minPixels, maxPixels: config.maxPixels };

  async function load(bytes: Uint8Array, request: ImageRequest): Promise<ImagePatches> {
    if (pool.queueSize >= maxWaitingImages) {
      const message = `${maxWaitingImages} images wait to be decoded already; try again in a second`;
      throw new RequestError(message, { status: 429, code: "too_many_images_queued", retryAfterMs: 1000 });
    }
    const own = new Uint8Array(bytes); // a view is cloned with its whole buffer, so copy just the picture and give that away
    const task: ImageTask = { bytes: own, request, model, limits };
    const result = await pool.run(task, { transferList: [own.buffer] }).catch((cause: unknown) => {
      throw new EngineError("the image loader failed", { cause });
    });
    return unwrapImageResult(result);
  }

  return { load, close: () => pool.destroy() };
}
