// Videos of a request, from an encoded file or a list of pictures to the patches that the vision tower takes. The threads that load pictures
// process the frames, a few at a time, so the memory for a video is bounded however long it is.

import { rm, writeFile } from "node:fs/promises";
import type { FrameSampling, VideoPart, VideoSource } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import { LinkedAbort } from "../core/linked-abort.ts";
import { type ImagePatches, spanLength } from "../core/prompt.ts";
import { patchSize } from "../core/vision-grid.ts";
import { WorkGate } from "../core/work-gate.ts";
import { formatTimestamp } from "./draw-timestamp.ts";
import type { Ffmpeg } from "./ffmpeg.ts";
import type { ImageRequest } from "./load-image.ts";
import { mapAhead } from "./map-ahead.ts";
import { joinFrames } from "./patchify.ts";
import { maxRequestPixels, type PixelBudget, takePixels } from "./pixel-budget.ts";
import type { RgbImage } from "./rgb-image.ts";
import { frameTime, sampleFrames } from "./sample-frames.ts";
import { type Size, smartResize } from "./smart-resize.ts";
import type { VideoConfig } from "./video-config.ts";
import { decodeFrames, probeVideo, type VideoFile } from "./video-file.ts";
import { makeVideoFolder, videoPath } from "./video-folder.ts";

/** The limits that the rest of the prompt leaves, and the signal of the waiting client. */
export type VideoRequest = {
  /** A video that needs more is refused before it is decoded. */
  readonly maxTokens: number;
  /** Shared with the pictures and other videos of the request. */
  readonly pixelBudget: PixelBudget;
  readonly signal: AbortSignal;
};

type VideoLoaderDeps = {
  /** Absent: only lists of pictures are accepted, and video files are refused. */
  readonly ffmpeg: Ffmpeg | undefined;
  readonly config: VideoConfig;
  readonly loadFrame: (source: Uint8Array | RgbImage, request: ImageRequest, signal: AbortSignal) => Promise<ImagePatches>;
  readonly limits?: Partial<VideoLimits>;
};

export type VideoLimits = {
  /** Pixels of one frame before scaling. */
  readonly framePixels: number;
  readonly durationSeconds: number;
  /** Memory of ffmpeg for one file. 4096 x 2304 pixels of 10 bits take half of it, with AV1 or 16 reference frames. */
  readonly memoryBytes: number;
  /** Time from the written file to its last frame. */
  readonly decodeMs: number;
  /** Files that are decoded at the same time, and files that may wait. */
  readonly concurrent: number;
  readonly waiting: number;
};

const defaultVideoLimits: VideoLimits = {
  framePixels: 4096 * 2304,
  durationSeconds: 3600,
  memoryBytes: 2 ** 30,
  decodeMs: 120_000,
  concurrent: 2,
  waiting: 16,
};

/** A frame takes this fraction of its pixels from the budget: frames are processed one by one, so other requests' pictures get their turn. */
const pixelShare = 0.5;

/** Frames in progress at a time: one for each thread, and one that is ready. */
const framesAhead = 3;

/** Loads one video. Throws RequestError when the video is at fault (429 when too many wait), and the signal's reason when it aborts. */
export function createVideoLoader(deps: VideoLoaderDeps): (part: VideoPart, request: VideoRequest) => Promise<ImagePatches> {
  const limits = { ...defaultVideoLimits, ...deps.limits };
  const gate = new WorkGate(limits.concurrent, limits.waiting);

  return async function loadVideo(part, request) {
    const { source, param } = part;
    const { ffmpeg, loadFrame, config } = deps;
    const drawsTimestamps = part.drawsTimestamps ?? config.drawsTimestamps;
    const job = { param, config, loadFrame, limits, drawsTimestamps, ...request };
    if (source.type === "frames") return loadPictures(source, job);
    if (!ffmpeg) throw noVideoFiles(param);
    if (gate.isFull) throw tooManyWait(limits.waiting);
    return gate.run(() => loadFile(source.bytes, source.sampling, ffmpeg, job), request.signal);
  };
}

type Job = VideoRequest &
  Pick<VideoLoaderDeps, "config" | "loadFrame"> & {
    readonly param: string;
    readonly drawsTimestamps: boolean;
    readonly limits: VideoLimits;
  };

async function loadPictures({ files, fps }: Extract<VideoSource, { type: "frames" }>, job: Job): Promise<ImagePatches> {
  const { config, loadFrame, pixelBudget, signal } = job;
  const requestOf = (index: number): ImageRequest => ({
    param: files.length === 1 ? job.param : `${job.param}[${index}]`,
    pixels: config.pixels,
    pixelBudget,
    ...(job.drawsTimestamps && fps !== undefined && { timestamp: formatTimestamp(index / fps) }),
  });
  const first = await loadFrame(files[0]!, requestOf(0), signal);
  const size = { width: first.patchColumns * patchSize, height: first.patchRows * patchSize };
  refuseTooManyTokens(files.length, size, job);
  async function* load() {
    yield first;
    yield* mapAhead(files.slice(1).entries(), framesAhead, ([index, file]) => {
      signal.throwIfAborted();
      return loadFrame(file, { ...requestOf(index + 1), size }, signal);
    });
  }
  return joinFrames(files.length, load());
}

/** Writes the file to a private temporary folder while it is read: MP4 files must be read from both ends, so a pipe does not work. */
async function loadFile(bytes: Uint8Array, sampling: FrameSampling, ffmpeg: Ffmpeg, job: Job): Promise<ImagePatches> {
  const { param, limits } = job;
  const folder = await makeVideoFolder();
  const abort = new LinkedAbort(job.signal);
  const late = tooMuch(param, `a video that is decoded within ${limits.decodeMs / 1000} s, got one that takes longer`);
  const timer = setTimeout(() => abort.abort(late), limits.decodeMs);
  try {
    const file = { path: videoPath(folder), param, maxFramePixels: limits.framePixels, maxMemoryBytes: limits.memoryBytes };
    await writeFile(file.path, bytes, { mode: 0o600 });
    return await decodeFile(file, sampling, ffmpeg, { ...job, signal: abort.signal });
  } finally {
    clearTimeout(timer);
    abort.unlink();
    await rm(folder, { recursive: true, force: true });
  }
}

async function decodeFile(file: VideoFile, sampling: FrameSampling, ffmpeg: Ffmpeg, job: Job): Promise<ImagePatches> {
  const { param, config, limits, signal, loadFrame } = job;
  const video = await probeVideo(ffmpeg, file, signal);
  const seconds = video.frameCount / video.fps;
  if (seconds > limits.durationSeconds) {
    throw tooMuch(param, `a video of at most ${limits.durationSeconds} s, got one of ${Math.round(seconds)} s`);
  }
  const indices = sampleFrames(video, sampling, config);
  if (!takePixels(job.pixelBudget, Math.ceil(indices.length * video.width * video.height * pixelShare))) {
    const got = `${indices.length} frames of ${video.width}x${video.height}`;
    throw tooMuch(param, `at most ${maxRequestPixels / pixelShare} pixels in the sampled frames, less if there are pictures, got ${got}`);
  }
  const size = smartResize(video, config.pixels);
  refuseTooManyTokens(indices.length, size, job);
  const wanted = [...new Set(indices)];
  const frames = mapAhead(decodeFrames(ffmpeg, file, wanted, signal), framesAhead, (frame, i) => {
    const timestamp = job.drawsTimestamps ? formatTimestamp(frameTime(wanted[i]!, video)) : undefined;
    return loadFrame(frame, { param, size, timestamp }, signal);
  });
  return joinFrames(indices.length, repeatFrames(frames, wanted, indices));
}

/** Repeats each frame as often as it was sampled: more than once if the request asks for more frames per second than the video has. */
async function* repeatFrames(frames: AsyncIterable<ImagePatches>, wanted: readonly number[], indices: readonly number[]) {
  let place = 0;
  let count = 0;
  for await (const frame of frames) {
    const index = wanted[place++];
    for (; indices[count] === index && count < indices.length; count++) yield frame;
  }
}

function refuseTooManyTokens(count: number, { width, height }: Size, { param, maxTokens }: Job): void {
  const frameCount = count + (count % 2);
  const tokens = spanLength({ frameCount, patchRows: height / patchSize, patchColumns: width / patchSize });
  if (tokens <= maxTokens) return;
  const message =
    `${param}: ${count} frames of ${width}x${height} take ${tokens} tokens, and the context has room for ${Math.max(0, maxTokens)}; ` +
    "ask for fewer frames (max_frames, fps), shorten the conversation or start the server with a larger --max-model-len";
  throw new RequestError(message, { code: "context_length_exceeded", param });
}

function tooMuch(param: string, expectedAndGot: string): RequestError {
  const message = `${param}: expected ${expectedAndGot}; ask for fewer frames, or send a shorter or smaller video`;
  return new RequestError(message, { code: "video_too_large", param });
}

function tooManyWait(count: number): RequestError {
  const message = `${count} videos are waiting to be decoded already; try again in a few seconds`;
  return new RequestError(message, { status: 429, code: "too_many_videos_queued", retryAfterMs: 5000 });
}

function noVideoFiles(param: string): RequestError {
  const message = `${param}: video files need ffmpeg and a temporary folder, and the server missed one when it started (Debian: apt install ffmpeg); a list of pictures as frames works without them`;
  return new RequestError(message, { code: "unsupported_parameter", param });
}
