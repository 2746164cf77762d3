// A prompt as the engine takes it: ids, 3-D positions, expert bank, and the pixels behind its image spans.

/** One picture, or one video of equally sized frames, cut into patches. Sent between threads as it is. */
export type ImagePatches = {
  /** SHA-256 (hex) over frame count, grid and pixels, and the request's salt if any: equal hashes mean equal features. */
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
  /** [n]: 1 where the vision experts serve the token (placeholders and their start and end delimiters) */
  readonly visionExpert: Uint8Array;
  /** In prompt order, not overlapping. */
  readonly spans: readonly VisionSpan[];
};

/** Part of a prompt as a step computes it; `start` is the place of its first token. */
export type PromptPart = Pick<EncodedPrompt, "tokenIds" | "positions" | "visionExpert" | "spans"> & { readonly start: number };

/** `count` tokens from `start` on. Spans keep their places in the whole prompt; those that no token of the part belongs to are left out. */
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

/** Tokens that a picture of this grid fills. */
export function spanLength(image: Pick<ImagePatches, "frameCount" | "patchRows" | "patchColumns">, mergeSize = 2): number {
  const frames = image.frameCount === 1 ? 1 : image.frameCount / 2;
  return frames * (image.patchRows / mergeSize) * (image.patchColumns / mergeSize);
}
