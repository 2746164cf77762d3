// The memory of the KV cache. Either every slot has its own for good, or slots get pages from a shared pool as they grow.

import type { KvPages } from "../core/batch.ts";
import { assert } from "../core/errors.ts";
import type { Device, Place, Reservation, RowPlace } from "../runtime/device.ts";
import { buildOwned, type Owned } from "../runtime/owned.ts";

/** Layout of a slot: its tokens one after another, in each head of each block (keys or values of a layer). */
type KvLayout = { readonly blockCount: number; readonly headCount: number; readonly tokenBytes: number };

export type KvSize = {
  readonly slotCount: number;
  /** Tokens of a slot. */
  readonly capacity: number;
  /** Absent: every slot has its own memory from the start. The tokens of a page must be a multiple of `kvPageTokens`. */
  readonly pages?: KvPages | undefined;
};

/** Tokens of the smallest page on a device that allocates memory in units of `unitBytes`. A page is whole units of each head in each block. */
export function kvPageTokens(tokenBytes: number, unitBytes: number): number {
  let [divisor, rest] = [unitBytes, tokenBytes];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return unitBytes / divisor;
}

/** Tokens that a slot has addresses for: its capacity rounded up to whole pages. */
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
  /** By slot. */
  readonly #pageCounts: number[];
  readonly #owned: Owned;

  constructor(device: Device, layout: KvLayout, size: KvSize) {
    const { slotCount, pages } = size;
    this.slotTokens = addressedTokens(size);
    this.slotBytes = layout.headCount * this.slotTokens * layout.tokenBytes;
    this.#layout = layout;
    this.#pages = pages;
    this.#pageCounts = Array.from({ length: slotCount }, () => 0);
    const blockBytes = slotCount * this.slotBytes;
    const blocks = Array.from({ length: layout.blockCount }, (_, i) => i);
    const { owned, reservation, places } = buildOwned((owned) => {
      if (!pages) {
        const places = blocks.map(() => ({ memory: owned.add(device.allocate(blockBytes)), offset: 0 }));
        return { reservation: undefined, places };
      }
      const memoryBytes = pages.count * pages.tokens * layout.blockCount * layout.headCount * layout.tokenBytes;
      const reservation = owned.add(device.reserve(layout.blockCount * blockBytes, memoryBytes));
      assert((pages.tokens * layout.tokenBytes) % reservation.unitBytes === 0, `a page of ${pages.tokens} tokens is not of whole units`);
      return { reservation, places: blocks.map((i) => ({ memory: reservation, offset: i * blockBytes })) };
    });
    [this.#owned, this.#reservation, this.#blocks] = [owned, reservation, places];
    // A GPU warms up on unwritten slots, so their content must be finite. On a CPU, zeroing would make empty slots resident for nothing.
    if (pages || device.kind === "cpu") return;
    for (const { memory } of this.#blocks) device.zero(memory);
    device.synchronize();
  }

  /** Where a slot begins in a block. */
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

  /** Number of first tokens for which both slots have memory. */
  commonTokens(a: number, b: number): number {
    if (!this.#pages) return this.slotTokens;
    return Math.min(this.#pageCounts[a]!, this.#pageCounts[b]!) * this.#pages.tokens;
  }

  /** Sets how many pages of memory a slot has. Content beyond is lost. If it throws, the slot is unchanged. */
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

  /** Moves the surplus pages of the slot that has more to the other slot, with their content. */
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

  /** Bytes of a page in one head of one block. */
  get #pageBytes(): number {
    return (this.#pages?.tokens ?? 0) * this.#layout.tokenBytes;
  }

  /** Offsets at which a page of a slot begins, for each block and head. */
  #parts(slot: number, page: number): number[] {
    const { blockCount, headCount } = this.#layout;
    return Array.from({ length: blockCount * headCount }, (_, i) => {
      const { offset, pitch } = this.tokensAt(Math.floor(i / headCount), slot, 0);
      return offset + (i % headCount) * pitch + page * this.#pageBytes;
    });
  }
}
