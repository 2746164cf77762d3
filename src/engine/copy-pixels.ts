// A prompt's pixels, copied for the engine to own. A long film's take half a second, so they go piece by piece and others have their turns between.

import { setImmediate } from "node:timers/promises";
import type { EncodedPrompt } from "../core/prompt.ts";

/** What is copied at a time, in a few milliseconds. Memory that was never touched is slow. */
const pieceBytes = 4 * 2 ** 20;

/** `own`: buffers that nobody else has, to be given away with the prompt. */
type CopiedPrompt = { readonly prompt: EncodedPrompt; readonly own: readonly ArrayBuffer[] };

/**
 * The prompt with copies of its pixels; those that occur twice are copied once. The caller's stay, because a prompt may be sent again. Undefined
 * as soon as `isWanted` says no.
 */
export async function copyPixels(prompt: EncodedPrompt, isWanted: () => boolean): Promise<CopiedPrompt | undefined> {
  const copies = new Map<Uint8Array, Uint8Array<ArrayBuffer>>();
  let untilTurn = pieceBytes;
  for (const patches of pixelsOf(prompt)) {
    const copy = new Uint8Array(patches.length);
    copies.set(patches, copy);
    for (let start = 0; start < patches.length;) {
      const piece = patches.subarray(start, start + untilTurn);
      copy.set(piece, start);
      start += piece.length;
      untilTurn -= piece.length;
      if (untilTurn > 0) continue;
      await setImmediate();
      if (!isWanted()) return undefined;
      untilTurn = pieceBytes;
    }
  }
  const spans = prompt.spans.map((span) => ({ ...span, image: { ...span.image, patches: copies.get(span.image.patches)! } }));
  return { prompt: { ...prompt, spans }, own: Array.from(copies.values(), ({ buffer }) => buffer) };
}

/** A picture that occurs twice has them once. */
export function pixelsOf({ spans }: EncodedPrompt): ReadonlySet<Uint8Array> {
  return new Set(spans.map(({ image }) => image.patches));
}
