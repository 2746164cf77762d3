// The prompt that the engine takes: token ids, 3-D positions, expert banks, and the pixels of its image spans.

import { mergeSize } from "./vision-grid.ts";

/** One picture, or one video of equally sized frames, cut into patches. Can be sent between threads. */
export type ImagePatches = {
  /** SHA-256 (hex) of frame count, grid, pixels and the request's salt, if any. Equal hashes mean equal features. */
  readonly hash: string;
  /** uint8 [frameCount, patchRows · patchColumns, 3 · patchSize²]: patches in merge-window order, each (channel, y, x). */
  readonly patches: Uint8Array;
  /** 1 for a picture, an even number for a video. */
  readonly frameCount: number;
  readonly patchRows: number;
  readonly patchColumns: number;
};

/** The placeholder tokens that one picture fills: `tokenIds[start … start + length)`. */
export type VisionSpan = {
  readonly start: number;
  readonly length: number;
  readonly image: ImagePatches;
};

export type EncodedPrompt = {
  /** int32 [n] */
  readonly tokenIds: Int32Array;
  /** int32 [3, n]: time, height, width */
  readonly positions: Int32Array;
  /** Generated token number k (k = n, n + 1, …) has position k + positionDelta on all three axes. */
  readonly positionDelta: number;
  /** uint8 [n]: 1 if the vision experts compute the token (placeholders and their start and end delimiters) */
  readonly visionExpert: Uint8Array;
  /** In prompt order, not overlapping. */
  readonly spans: readonly VisionSpan[];
};

/** A part of a prompt; `start` is the index of its first token. */
export type PromptPart = Pick<EncodedPrompt, "tokenIds" | "positions" | "visionExpert" | "spans"> & { readonly start: number };

/** The part with `count` tokens from `start` on. Spans keep their coordinates in the whole prompt; those outside the part are left out. */
export function slicePrompt({ tokenIds, positions, visionExpert, spans }: EncodedPrompt, start: number, count: number): PromptPart {
  const part = new Int32Array(3 * count);
  for (let axis = 0; axis < 3; axis++) {
    const from = axis * tokenIds.length + start;
    part.set(positions.subarray(from, from + count), axis * count);
  }
  return {
    start,
    tokenIds: tokenIds.subarray(start, start + count),
    positions: part,
    visionExpert: visionExpert.subarray(start, start + count),
    spans: spans.filter((span) => span.start < start + count && span.start + span.length > start),
  };
}

type PatchGrid = Pick<ImagePatches, "frameCount" | "patchRows" | "patchColumns">;

/** The grid of placeholder tokens that a picture or video fills: one for each merge window, of two frames at a time in a video. */
export function tokenGrid({ frameCount, patchRows, patchColumns }: PatchGrid) {
  return { times: Math.ceil(frameCount / 2), rows: patchRows / mergeSize, columns: patchColumns / mergeSize };
}

/** Number of placeholder tokens of a picture or video with this grid of patches. */
export function spanLength(patches: PatchGrid): number {
  const { times, rows, columns } = tokenGrid(patches);
  return times * rows * columns;
}
