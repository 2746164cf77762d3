// Loads videos as the server does, but without threads.

import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import type { FrameSampling, VideoPart } from "../../src/core/chat.ts";
import { RequestError } from "../../src/core/errors.ts";
import type { Ffmpeg } from "../../src/vision/ffmpeg.ts";
import { type ImageRequest, loadImage } from "../../src/vision/load-image.ts";
import { createVideoLoader, type VideoLimits } from "../../src/vision/load-video.ts";
import { createPixelBudget } from "../../src/vision/pixel-budget.ts";
import { toVideoConfig, type VideoConfig } from "../../src/vision/video-config.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { ffmpeg } from "./make-videos.ts";

process.env["TMPDIR"] = temporaryFolder(); // what other tests and servers leave in the system's is none of ours

export const param = "messages[0].content[1].video_url";
export const config = toVideoConfig({ size: { shortest_edge: 784, longest_edge: 50_176 }, draw_on_frames: false });
export const never = new AbortController().signal;

type Setup = {
  config?: VideoConfig;
  ffmpeg?: Ffmpeg | undefined;
  limits?: Partial<VideoLimits>;
  maxTokens?: number;
  pixels?: number;
  signal?: AbortSignal;
};

/** Loads the video and tells what each frame was asked with. */
export async function load(source: VideoPart["source"], setup: Setup = {}, part: Partial<VideoPart> = {}) {
  const requests: ImageRequest[] = [];
  const loadVideo = createVideoLoader({
    ffmpeg: "ffmpeg" in setup ? setup.ffmpeg : ffmpeg,
    config: setup.config ?? config,
    loadFrame: (frame, request) => {
      requests.push(request);
      return loadImage(frame, { minPixels: 1, maxPixels: 1 }, request);
    },
    ...(setup.limits && { limits: setup.limits }),
  });
  const pixelBudget = createPixelBudget(setup.pixels);
  const request = { maxTokens: setup.maxTokens ?? 100_000, pixelBudget, signal: setup.signal ?? never };
  return { video: await loadVideo({ type: "video", source, param, ...part }, request), requests };
}

export function loadFile(bytes: Uint8Array, sampling: FrameSampling = {}, setup: Setup = {}, part: Partial<VideoPart> = {}) {
  return load({ type: "file", bytes, sampling }, setup, part);
}

export async function refusal(loading: Promise<unknown>): Promise<RequestError> {
  const error: unknown = await loading.catch((reason: unknown) => reason);
  if (!(error instanceof RequestError)) throw new Error(`expected a RequestError, got ${String(error)}`);
  return error;
}

/** Temporary folders of the loader that are there now. */
export async function leftovers(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith("ernie-vl-video-"));
}
