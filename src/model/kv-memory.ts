// The memory of the KV cache: every slot its own for good, or all of them pages of one stock, which they get as they grow.

import type { KvPages } from "../core/batch.ts";
import { assert } from "../core/errors.ts";
import type { Device, Place, Reservation, RowPlace } from "../runtime/device.ts";
import { Owned } from "../runtime/owned.ts";

/** What a slot consists of: in each block (keys or values of a layer) and head its tokens, one after another. */
type KvLayout = { readonly blockCount: number; readonly headCount: number; readonly tokenBytes: number };

export type KvSize = {
  readonly slotCount: number;
  /** Tokens of a slot. */
  readonly capacity: number;
  /** Absent: every slot has all its memory from the beginning. Else `kvPageTokens` says how many tokens a page has. */
  readonly pages?: KvPages | undefined;
};

/** Tokens of the smallest page on a device that gives memory in units of so many bytes: a page is one unit of each head in each block. */
export function kvPageTokens(tokenBytes: number, unitBytes: number): number {
  let [divisor, rest] = [unitBytes, tokenBytes];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return unitBytes / divisor;
}

/** Tokens that a slot has addresses for: whole pages. */
function addressedTokens({ capacity, pages }: Pick<KvSize, "capacity" | "pages">): number {
  return pages ? Math.ceil(capacity / pages.tokens) * pages.tokens : capacity;
}

export class KvMemory {
  /** Tokens that a slot has addresses for, `capacity` or a little more. */
  readonly slotTokens: number;
  readonly slotBytes: number;
  readonly #layout: KvLayout;
  readonly #pages: KvPages | undefined;
  readonly #blocks: readonly Place[];
  readonly #reservation: Reservation | undefined;
  /** Of each slot. */
  readonly #pageCounts: number[];
  readonly #owned = new Owned();

  constructor(device: Device, layout: KvLayout, size: KvSize) {
    const { slotCount, pages } = size;
    this.slotTokens = addressedTokens(size);
    this.slotBytes = layout.headCount * this.slotTokens * layout.tokenBytes;
    this.#layout = layout;
    this.#pages = pages;
    this.#pageCounts = Array.from({ length: slotCount }, () => 0);
    const blockBytes = slotCount * this.slotBytes;
    const indices = Array.from({ length: layout.blockCount }, (_, i) => i);
    try {
      if (pages) {
        const memoryBytes = pages.count * pages.tokens * layout.blockCount * layout.headCount * layout.tokenBytes;
        const reservation = this.#owned.add(device.reserve(layout.blockCount * blockBytes, memoryBytes));
        assert((pages.tokens * layout.tokenBytes) % reservation.unitBytes === 0, `a page of ${pages.tokens} tokens is not of whole units`);
        this.#reservation = reservation;
        this.#blocks = indices.map((i) => ({ memory: reservation, offset: i * blockBytes }));
      } else {
        this.#blocks = indices.map(() => ({ memory: this.#owned.add(device.allocate(blockBytes)), offset: 0 }));
      }
    } catch (error) {
      this.#owned.dispose();
      throw error;
    }
    // A GPU warms up with what nobody has written: it must at least be numbers. On a CPU it would touch all of it, and empty slots cost nothing there.
    if (pages || device.kind === "cpu") return;
    for (const { memory } of this.#blocks) device.zero(memory);
    device.synchronize();
  }

  /** Where the slots from `slot` on begin in a block. */
  blockAt(block: number, slot: number): Place {
    const { memory, offset } = this.#blocks[block]!;
    return { memory, offset: offset + slot * this.slotBytes };
  }

  /** Token `start` of a slot, in each of its heads. */
  tokensAt(block: number, slot: number, start: number): RowPlace {
    const { tokenBytes } = this.#layout;
    const { memory, offset } = this.blockAt(block, slot);
    return { memory, offset: offset + start * tokenBytes, pitch: this.slotTokens * tokenBytes };
  }

  /** Tokens of both slots that have memory of their own. */
  commonTokens(a: number, b: number): number {
    if (!this.#pages) return this.slotTokens;
    return Math.min(this.#pageCounts[a]!, this.#pageCounts[b]!) * this.#pages.tokens;
  }

  /** Gives a slot memory for its first `pageCount` pages, or takes what lies beyond. Throws with the slot as it was. */
  resize(slot: number, pageCount: number): void {
    const reservation = this.#reservation;
    const before = this.#pageCounts[slot]!;
    if (!reservation || pageCount === before) return;
    const parts = this.#parts(slot, Math.min(before, pageCount));
    const byteLength = Math.abs(pageCount - before) * this.#pageBytes;
    if (pageCount < before) {
      for (const offset of parts) reservation.release(offset, byteLength);
    } else {
      const committed: number[] = [];
      try {
        for (const offset of parts) {
          reservation.commit(offset, byteLength);
          committed.push(offset);
        }
      } catch (error) {
        for (const offset of committed) reservation.release(offset, byteLength);
        throw error;
      }
    }
    this.#pageCounts[slot] = pageCount;
  }

  /** The pages that one slot has more go to the other, with what they hold. */
  exchangeTails(a: number, b: number): void {
    const [pagesA, pagesB] = [this.#pageCounts[a]!, this.#pageCounts[b]!];
    if (pagesA === pagesB) return;
    const [giver, taker] = pagesA > pagesB ? [a, b] : [b, a];
    const first = Math.min(pagesA, pagesB);
    const targets = this.#parts(taker, first);
    for (const [i, source] of this.#parts(giver, first).entries()) {
      this.#reservation?.move(targets[i]!, source, Math.abs(pagesA - pagesB) * this.#pageBytes);
    }
    [this.#pageCounts[a], this.#pageCounts[b]] = [pagesB, pagesA];
  }

  dispose(): void {
    this.#owned.dispose();
  }

  /** Of one head in one block. */
  get #pageBytes(): number {
    return (this.#pages?.tokens ?? 0) * this.#layout.tokenBytes;
  }

  /** Where page `page` of a slot begins, in each block and head. */
  #parts(slot: number, page: number): number[] {
    const { blockCount, headCount } = this.#layout;
    return Array.from({ length: blockCount * headCount }, (_, i) => {
      const { offset, pitch } = this.tokensAt(Math.floor(i / headCount), slot, 0);
      return offset + (i % headCount) * pitch + page * this.#pageBytes;
    });
  }
}
