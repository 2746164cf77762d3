// Tracks which sequence owns which KV slot, how many pages each slot has, and what prefix an idle slot still holds. The scheduler decides who runs.

import type { ModelRunner, SlotId } from "../core/batch.ts";
import { assert, DeviceLostError, EngineError, messageOf } from "../core/errors.ts";
import { commonPrefixLength, type SlotContent } from "./prefix-match.ts";
import type { Sequence } from "./sequence.ts";

/**
 * A shorter prefix is neither copied nor continued at the expense of the rest of its slot: computing this many more tokens in a prefill chunk
 * that runs anyway costs about as much as starting the copies (two per layer). It is also longer than the opening that all prompts of a chat
 * template share.
 */
export const minSharedLength = 32;

/** Most tokens that a template puts at the end of a prompt to open the answer, such as `Assistant: <think>`. In a history it may write others. */
const longestAnswerOpening = 16;

/** The model could not swap, copy or resize slots. Their content is undefined now, so the sequences that own them must fail. */
export class SlotMoveError extends EngineError {
  readonly slots: readonly SlotId[];

  constructor(slots: readonly SlotId[], cause: unknown) {
    const what = slots.length === 1 ? `KV slot ${slots[0]} could not get memory` : `KV slots ${slots.join(" and ")} could not be moved`;
    super(`${what}: ${messageOf(cause)}`, { cause });
    this.slots = slots;
  }
}

/** `promptLength` is that of the sequence that left the content. */
type IdleContent = SlotContent & { readonly promptLength: number };

type Slot = {
  readonly id: SlotId;
  owner: Sequence | undefined;
  /** What an idle slot still holds; undefined if it is owned or empty. */
  idleContent: IdleContent | undefined;
  /** Number of the release that made it idle; 0 if it is owned or empty, so that empty slots count as the oldest. */
  idleSince: number;
  /** Pages it has. Surplus pages stay until another slot needs them. */
  pageCount: number;
};

/** How much of a sequence's prompt a slot holds. */
type Match = { readonly slot: Slot; readonly shared: number };

export class KvSlots {
  readonly #model: SlotMemory;
  readonly #headroomTokens: number;
  readonly #slots: Slot[];
  #releaseCount = 0;
  #freePageCount: number;

  /** `headroomTokens`: a sequence gets a slot only if each owner could grow by this many tokens, or to its end if that is nearer. */
  constructor(model: SlotMemory, headroomTokens: number) {
    this.#model = model;
    this.#headroomTokens = headroomTokens;
    this.#freePageCount = model.pages.count;
    this.#slots = Array.from({ length: model.slotCount + model.spareSlotCount }, (_, i) => {
      return { id: i as SlotId, owner: undefined, idleContent: undefined, idleSince: 0, pageCount: 0 };
    });
  }

  get usedCount(): number {
    return this.#owners.length;
  }

  get #owners(): Sequence[] {
    return this.#slots.flatMap(({ owner }) => owner ?? []);
  }

  ownerOf(slot: SlotId): Sequence | undefined {
    return this.#at(slot).owner;
  }

  /** Share of the memory that owners need, 0 … 1. What idle slots hold does not count. */
  get usedShare(): number {
    const used = this.#slots.reduce((sum, { owner }) => sum + (owner ? this.#pagesFor(owner.length) : 0), 0);
    return used / this.#model.pages.count;
  }

  /**
   * Gives the sequence a slot with memory for all its tokens and sets `computedLength` to how many of them the slot already holds. Returns false
   * if no slot or too little memory is free. If it throws SlotMoveError, the sequence has no slot.
   */
  acquire(sequence: Sequence): boolean {
    if (!this.hasRoomFor(sequence, this.#owners)) return false;
    const victim = this.#oldestFreeSlot();
    const wanted = sequence.reusableContent();
    const best = this.#longestMatch(wanted);
    const isInPlace = canTakeInPlace(best, victim);
    const isCopy = !isInPlace && best.shared >= minSharedLength;
    if (isCopy && this.#provide(victim, sequence.length, best.slot)) {
      this.#guard([best.slot, victim], () => this.#model.copySlot(best.slot.id, victim.id, best.shared));
      this.#give(victim, sequence, best.shared);
      return true;
    }
    // No memory for a copy: continue the original in place if it is idle.
    const slot = isInPlace || (isCopy && !best.slot.owner) ? best.slot : victim;
    assert(this.#provide(slot, sequence.length), "idle slots have the memory that no owner needs");
    this.#give(slot, sequence, sharedLength(slot, wanted));
    return true;
  }

  /**
   * Whether there is a slot beside these owners, memory for all tokens of a new one and, unless it is the only one, headroom for it and the others,
   * so that none is preempted soon. Called in every step while a sequence waits, so it compares no prefixes.
   */
  hasRoomFor(sequence: Sequence, owners: readonly Sequence[]): boolean {
    if (owners.length === 0) return true;
    if (owners.length >= this.#model.slotCount) return false;
    const needed = [sequence, ...owners].reduce((sum, { length, longestLength }) => {
      return sum + this.#pagesFor(Math.max(length, Math.min(length + this.#headroomTokens, longestLength)));
    }, 0);
    return needed <= this.#model.pages.count;
  }

  /** Extends a sequence's computed prefix by copying from a slot that now holds more of it. Throws SlotMoveError. */
  catchUp(sequence: Sequence): void {
    const slot = this.#slotOf(sequence);
    const { slot: source, shared } = this.#longestMatch(sequence.reusableContent());
    if (shared - sequence.computedLength < minSharedLength) return;
    this.#guard([source, slot], () => this.#model.copySlot(source.id, slot.id, shared));
    sequence.computedLength = shared;
  }

  /** Gives the slot of a sequence memory for all its tokens. Returns false if there is too little. Throws SlotMoveError. */
  extend(sequence: Sequence): boolean {
    return this.#provide(this.#slotOf(sequence), sequence.length);
  }

  /** Takes the slot back. What was computed stays in it for later prompts with the same prefix. */
  release(sequence: Sequence): void {
    const slot = this.#slotOf(sequence);
    sequence.slot = undefined;
    slot.owner = undefined;
    const { promptLength } = sequence;
    slot.idleContent = sequence.computedLength > 0 ? { ...sequence.computedContent(), promptLength } : undefined;
    slot.idleSince = slot.idleContent ? ++this.#releaseCount : 0;
  }

  /** Marks an idle slot as empty, for example because its content can no longer be trusted. */
  forget(id: SlotId): void {
    const slot = this.#at(id);
    assert(!slot.owner, `slot ${id} is still owned by sequence ${slot.owner?.id}`);
    slot.idleContent = undefined;
    slot.idleSince = 0;
  }

  /** Empties the least recently used free slot and gives it at least one page. There must be a free slot. */
  emptyOldest(): SlotId {
    const slot = this.#oldestFreeSlot();
    this.forget(slot.id);
    assert(this.#provide(slot, 1), "all memory is in use");
    return slot.id;
  }

  /**
   * Moves these sequences to slots 0 … n − 1, in any order, because a decode batch is one contiguous piece of the cache. Each sequence outside
   * is swapped with one of the first n slots that none of them owns, which is the fewest moves possible. The other slot's content, owned or
   * idle, survives. Throws SlotMoveError; another call continues where it stopped.
   */
  gatherInFront(sequences: readonly Sequence[]): void {
    if (sequences.length === 1 && this.#model.decodesOneAnywhere) return;
    const members = new Set(sequences);
    const strays = sequences.filter((sequence) => this.#slotOf(sequence).id >= sequences.length);
    const holes = this.#slots.slice(0, sequences.length).filter((slot) => !slot.owner || !members.has(slot.owner));
    for (const [i, sequence] of strays.entries()) {
      const hole = holes[i];
      assert(hole, "there are as many free places in front as sequences behind");
      this.#swap(this.#slotOf(sequence), hole);
    }
  }

  /** Throws EngineError if the bookkeeping is inconsistent, or if the owners are not exactly `running`. */
  checkIntegrity(running: readonly Sequence[]): void {
    const owners = this.#owners;
    assert(
      owners.length === running.length && owners.length <= this.#model.slotCount && running.every((sequence) => owners.includes(sequence)),
      "slot owners are not the running sequences",
    );
    const pageCount = this.#slots.reduce((sum, slot) => sum + slot.pageCount, this.#freePageCount);
    assert(this.#freePageCount >= 0 && pageCount === this.#model.pages.count, "pages of slots and free ones are not all pages");
    for (const slot of this.#slots) {
      assert(validLength(slot) <= slot.pageCount * this.#model.pages.tokens, `slot ${slot.id} holds more than its memory`);
      assert(!slot.owner || slot.owner.slot === slot.id, `slot ${slot.id} and its owner disagree`);
      assert(!slot.owner || !slot.idleContent, `slot ${slot.id} is both owned and idle`);
      assert(slot.idleSince > 0 === (slot.idleContent !== undefined), `slot ${slot.id} is idle since ${slot.idleSince}`);
      assert(validLength(slot) <= this.#model.slotCapacity, `slot ${slot.id} holds more than its capacity`);
    }
  }

  /** The least recently used slot without owner, empty ones first. There must be one. */
  #oldestFreeSlot(): Slot {
    const free = this.#slots.filter((slot) => !slot.owner);
    assert(free.length > 0, "all slots are owned");
    return free.reduce((oldest, slot) => (oldest.idleSince <= slot.idleSince ? oldest : slot));
  }

  /** The slot that holds the longest prefix of `wanted`. */
  #longestMatch(wanted: SlotContent): Match {
    const matches = this.#slots.map((slot) => ({ slot, shared: sharedLength(slot, wanted) }));
    return matches.reduce((best, match) => (isBetter(match, best) ? match : best));
  }

  #give(slot: Slot, sequence: Sequence, computedLength: number): void {
    slot.owner = sequence;
    slot.idleContent = undefined;
    slot.idleSince = 0;
    sequence.slot = slot.id;
    sequence.computedLength = computedLength;
  }

  /**
   * Gives the slot memory for `length` tokens. If too few pages are free, takes surplus pages of other slots, then pages from the ends of idle
   * slots, the least recently used first, but none from `kept`. Returns false, with nothing changed, if that does not suffice.
   */
  #provide(slot: Slot, length: number, kept?: Slot): boolean {
    const pageCount = this.#pagesFor(length);
    const missing = pageCount - slot.pageCount;
    if (missing <= 0) return true;
    if (this.#freePageCount < missing) {
      const donors = this.#slots.filter((other) => other !== slot && other !== kept);
      const spare = (other: Slot): number => other.pageCount - this.#neededPages(other);
      const takeable = donors.reduce((sum, other) => sum + (other.owner ? spare(other) : other.pageCount), 0);
      if (this.#freePageCount + takeable < missing) return false;
      for (const other of donors) this.#shrink(other, Math.min(spare(other), missing - this.#freePageCount));
      const idle = donors.filter(({ owner }) => !owner).toSorted((a, b) => a.idleSince - b.idleSince);
      for (const other of idle) this.#shrink(other, Math.min(other.pageCount, missing - this.#freePageCount));
    }
    this.#resize(slot, pageCount);
    return true;
  }

  /** Takes pages from the end of a slot. An idle slot loses the content they hold. */
  #shrink(slot: Slot, pageCount: number): void {
    if (pageCount <= 0) return;
    this.#resize(slot, slot.pageCount - pageCount);
    const { idleContent } = slot;
    const left = slot.pageCount * this.#model.pages.tokens;
    if (!idleContent || idleContent.tokenIds.length <= left) return;
    if (left === 0) this.forget(slot.id);
    else slot.idleContent = { ...idleContent, tokenIds: idleContent.tokenIds.subarray(0, left) };
  }

  #resize(slot: Slot, pageCount: number): void {
    this.#guard([slot], () => this.#model.resizeSlot(slot.id, pageCount));
    this.#freePageCount += slot.pageCount - pageCount;
    slot.pageCount = pageCount;
  }

  #pagesFor(length: number): number {
    return Math.ceil(length / this.#model.pages.tokens);
  }

  #neededPages({ owner, idleContent }: Slot): number {
    return this.#pagesFor(owner?.length ?? idleContent?.tokenIds.length ?? 0);
  }

  #swap(a: Slot, b: Slot): void {
    this.#guard([a, b], () => this.#model.swapSlots(a.id, validLength(a), b.id, validLength(b)));
    [a.owner, b.owner] = [b.owner, a.owner];
    [a.idleContent, b.idleContent] = [b.idleContent, a.idleContent];
    [a.idleSince, b.idleSince] = [b.idleSince, a.idleSince];
    [a.pageCount, b.pageCount] = [b.pageCount, a.pageCount];
    if (a.owner) a.owner.slot = a.id;
    if (b.owner) b.owner.slot = b.id;
  }

  #guard(slots: readonly Slot[], change: () => void): void {
    try {
      change();
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      throw new SlotMoveError(
        slots.map(({ id }) => id),
        error,
      );
    }
  }

  #slotOf(sequence: Sequence): Slot {
    assert(sequence.slot !== undefined, `sequence ${sequence.id} owns no slot`);
    const slot = this.#at(sequence.slot);
    assert(slot.owner === sequence, `slot ${slot.id} is not owned by sequence ${sequence.id}`);
    return slot;
  }

  #at(id: SlotId): Slot {
    const slot = this.#slots[id];
    assert(slot, `there is no slot ${id}`);
    return slot;
  }
}

/** What KvSlots needs of the model. */
export type SlotMemory = Pick<
  ModelRunner,
  "slotCount" | "spareSlotCount" | "decodesOneAnywhere" | "slotCapacity" | "pages" | "resizeSlot" | "swapSlots" | "copySlot"
>;

/**
 * Whether to continue in the matching slot itself and overwrite what it holds beyond the shared prefix. Yes if it is the slot to evict anyway, if
 * it holds nothing more, or if the match covers nearly the whole prompt: the rest is then an answer, which the template may write differently in
 * the history of the next turn. Otherwise the slot holds another conversation, which is kept while there are older ones to evict.
 */
function canTakeInPlace({ slot, shared }: Match, victim: Slot): boolean {
  if (slot === victim) return true;
  if (!slot.idleContent) return false;
  const { tokenIds, promptLength } = slot.idleContent;
  return shared === tokenIds.length || (shared >= minSharedLength && shared + longestAnswerOpening >= promptLength);
}

/** Prefers the longer match, then a slot without owner, then the least recently used one. */
function isBetter(a: Match, b: Match): boolean {
  if (a.shared !== b.shared) return a.shared > b.shared;
  if (!a.slot.owner !== !b.slot.owner) return !a.slot.owner;
  return a.slot.idleSince < b.slot.idleSince;
}

function sharedLength(slot: Slot, wanted: SlotContent): number {
  const content = slot.owner?.computedContent() ?? slot.idleContent;
  return content ? commonPrefixLength(content, wanted) : 0;
}

function validLength(slot: Slot): number {
  return slot.owner?.computedLength ?? slot.idleContent?.tokenIds.length ?? 0;
}
