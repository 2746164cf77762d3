// Chooses the frames of a video that the model sees, by the rule of the published processor (model spec, 5.3).

import type { FrameSampling } from "../core/chat.ts";
import { roundHalfEven } from "./round-half-even.ts";
import type { VideoConfig } from "./video-config.ts";

export type VideoLength = {
  readonly frameCount: number;
  /** Frames per second, on average. */
  readonly fps: number;
};

type Choice = NonNullable<FrameSampling["choice"]>;

/**
 * The indices of the sampled frames, ascending. By default, frames are sampled at a rate. If that gives too few or too many, or if the request sets
 * their number, a fixed number is spread over the whole video. A video with fewer frames gives each of them once.
 */
export function sampleFrames(video: VideoLength, wishes: FrameSampling, defaults: VideoConfig): number[] {
  const choice = wishes.choice ?? "leading";
  if (wishes.targetFrames !== undefined) return sampleByCount(video.frameCount, wishes.targetFrames, choice);
  const fps = wishes.fps ?? defaults.fps;
  // A bound from the client overrides the model's opposite bound.
  const maxFrames = wishes.maxFrames ?? Math.max(defaults.maxFrames, wishes.minFrames ?? 0);
  const minFrames = Math.min(wishes.minFrames ?? defaults.minFrames, maxFrames);
  const count = Math.floor((video.frameCount / video.fps) * fps);
  if (count < minFrames) return sampleByCount(video.frameCount, minFrames, choice);
  if (count > maxFrames) return sampleByCount(video.frameCount, maxFrames, choice);
  return sampleByRate(video, fps, choice);
}

/** Seconds from the start of the video. */
export function frameTime(index: number, { frameCount, fps }: VideoLength): number {
  return (index * (frameCount / fps)) / frameCount;
}

/** Cuts the video into `count` pieces of whole frames and takes one frame of each. */
function sampleByCount(frameCount: number, count: number, choice: Choice): number[] {
  const pieceCount = Math.min(count, frameCount);
  const step = frameCount / pieceCount;
  const cut = (piece: number) => (piece === pieceCount ? frameCount : Math.trunc(piece * step));
  return Array.from({ length: pieceCount }, (_, piece) => {
    const [first, last] = [cut(piece), cut(piece + 1) - 1];
    if (choice === "leading") return first;
    return choice === "middle" ? Math.floor((first + last) / 2) : first + Math.floor(Math.random() * (last - first + 1));
  });
}

/** The frames nearest to equally spaced times. Ties go to the even frame. */
function sampleByRate({ frameCount, fps: videoFps }: VideoLength, fps: number, choice: Choice): number[] {
  const duration = frameCount / videoFps;
  const gap = 1 / fps;
  const start = choice === "leading" ? 0 : gap / 2;
  // Computed in the order of NumPy's `arange`, so that rounding and ties are the same.
  const step = start + gap - start;
  return Array.from({ length: Math.ceil((duration + start - start) / gap) }, (_, i) => {
    const seconds = start + i * step + (choice === "rand" ? (Math.random() - 0.5) * gap : 0);
    return roundHalfEven(seconds * videoFps);
  }).filter((index) => index < frameCount);
}
