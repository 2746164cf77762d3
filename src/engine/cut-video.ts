// A video in pieces that one step of the vision tower takes each.

import type { VisionSpan } from "../core/prompt.ts";

/**
 * The span of a picture as it is; that of a video as spans of as many frames as have no more than `maxPatches` patches together, at least two.
 * Frames see nothing of each other but in pairs, so each piece is a video of its own: its features are computed when its tokens are, and need not
 * be kept for the rest of the video.
 */
export function cutVideo(span: VisionSpan, maxPatches: number): VisionSpan[] {
  const { image } = span;
  const { frameCount, patchRows, patchColumns } = image;
  const framesAtOnce = 2 * Math.max(1, Math.floor(maxPatches / (2 * patchRows * patchColumns)));
  if (frameCount <= framesAtOnce) return [span];
  const frameBytes = image.patches.length / frameCount;
  const tokensPerFrame = span.length / frameCount;
  return Array.from({ length: Math.ceil(frameCount / framesAtOnce) }, (_, piece) => {
    const first = piece * framesAtOnce;
    const last = Math.min(first + framesAtOnce, frameCount);
    const patches = image.patches.subarray(first * frameBytes, last * frameBytes);
    const part = { ...image, hash: `${image.hash} frames ${first} to ${last - 1}`, patches, frameCount: last - first };
    return { start: span.start + first * tokensPerFrame, length: (last - first) * tokensPerFrame, image: part };
  });
}
