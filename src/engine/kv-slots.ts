// Which sequence owns which KV slot, and what prefix an idle slot still holds. Moves content; who runs is the scheduler's business.

import type { ModelRunner, SlotId } from "../core/batch.ts";
import { assert, EngineError } from "../core/errors.ts";
import { commonPrefixLength, type SlotContent } from "./prefix-match.ts";
import type { Sequence } from "./sequence.ts";

/**
 * A shorter prefix is not worth copying, nor worth giving up what else its slot holds: computing this many tokens more in a
 * prefill chunk that runs anyway costs about as much as starting the copies (two for each layer). It is also more than the
 * opening that all prompts of a chat template have in common.
 */
export const minSharedLength = 32;

/** The model could not move slots. Both are undefined now, and so are the sequences that own them. */
export class SlotMoveError extends EngineError {
  readonly slots: readonly SlotId[];

  constructor(slots: readonly SlotId[], cause: unknown) {
    super(`KV slots ${slots.join(" and ")} could not be moved: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.slots = slots;
  }
}

type Slot = {
  readonly id: SlotId;
  owner: Sequence | undefined;
  /** What an idle slot still holds; undefined while it is owned, or when it is empty. */
  idleContent: SlotContent | undefined;
  /** When it became idle, in releases since the start; 0 when it is empty, so that empty slots are the oldest. */
  idleSince: number;
};

/** How much of a sequence's prompt a slot holds. */
type Match = { readonly slot: Slot; readonly shared: number };

export class KvSlots {
  readonly #model: SlotMemory;
  readonly #slots: Slot[];
  #releaseCount = 0;

  constructor(model: SlotMemory) {
    this.#model = model;
    this.#slots = Array.from({ length: model.slotCount }, (_, i) => {
      return { id: i as SlotId, owner: undefined, idleContent: undefined, idleSince: 0 };
    });
  }

  get usedCount(): number {
    return this.#slots.filter((slot) => slot.owner).length;
  }

  ownerOf(slot: SlotId): Sequence | undefined {
    return this.#at(slot).owner;
  }

  /**
   * Gives the sequence a slot and sets `computedLength` to the prompt tokens the slot holds already. False when no slot is
   * free. Throws SlotMoveError, with the sequence left without a slot.
   */
  acquire(sequence: Sequence): boolean {
    const victim = this.#oldestFreeSlot();
    if (!victim) return false;
    const wanted = sequence.reusableContent();
    const best = this.#longestMatch(wanted);
    if (canTakeInPlace(best, victim)) {
      this.#give(best.slot, sequence, best.shared);
    } else if (best.shared >= minSharedLength) {
      this.#move(best.slot, victim, () => this.#model.copySlot(best.slot.id, victim.id, best.shared));
      this.#give(victim, sequence, best.shared);
    } else {
      this.#give(victim, sequence, sharedLength(victim, wanted));
    }
    return true;
  }

  /** Takes the slot back. What was computed stays in it for a later prompt with the same beginning. */
  release(sequence: Sequence): void {
    const slot = this.#slotOf(sequence);
    sequence.slot = undefined;
    slot.owner = undefined;
    slot.idleContent = sequence.computedLength > 0 ? sequence.computedContent() : undefined;
    slot.idleSince = slot.idleContent ? ++this.#releaseCount : 0;
  }

  /** Marks an idle slot as empty, because its memory can no longer be trusted. */
  forget(id: SlotId): void {
    const slot = this.#at(id);
    assert(!slot.owner, `slot ${id} is still owned by sequence ${slot.owner?.id}`);
    slot.idleContent = undefined;
    slot.idleSince = 0;
  }

  /** The free slot that is the least loss, emptied. There must be one. */
  emptyOldest(): SlotId {
    const slot = this.#oldestFreeSlot();
    assert(slot, "all slots are owned");
    this.forget(slot.id);
    return slot.id;
  }

  /**
   * Moves these sequences to slots 0 … n − 1, in any order: a decode batch is one piece of the cache. Each sequence beyond
   * is exchanged with a slot among the first n that none of them owns, the fewest moves there can be. Nothing is lost: what
   * was in that slot, of another owner or idle, goes the other way. Throws SlotMoveError; calling again goes on.
   */
  gatherInFront(sequences: readonly Sequence[]): void {
    const members = new Set(sequences);
    const strays = sequences.filter((sequence) => this.#slotOf(sequence).id >= sequences.length);
    const holes = this.#slots.slice(0, sequences.length).filter((slot) => !slot.owner || !members.has(slot.owner));
    for (const [i, sequence] of strays.entries()) {
      const hole = holes[i];
      assert(hole, "there are as many free places in front as sequences behind");
      this.#swap(this.#slotOf(sequence), hole);
    }
  }

  /** Throws when the books contradict themselves, or a sequence of `running` owns no slot, or another owns one. */
  checkIntegrity(running: readonly Sequence[]): void {
    const owners = this.#slots.flatMap((slot) => slot.owner ?? []);
    assert(
      owners.length === running.length && running.every((sequence) => owners.includes(sequence)),
      "slot owners are not the running sequences",
    );
    for (const slot of this.#slots) {
      assert(!slot.owner || slot.owner.slot === slot.id, `slot ${slot.id} and its owner disagree`);
      assert(!slot.owner || !slot.idleContent, `slot ${slot.id} is both owned and idle`);
      assert(slot.idleSince > 0 === (slot.idleContent !== undefined), `slot ${slot.id} is idle since ${slot.idleSince}`);
      assert(validLength(slot) <= this.#model.slotCapacity, `slot ${slot.id} holds more than its capacity`);
    }
  }

  #oldestFreeSlot(): Slot | undefined {
    const free = this.#slots.filter((slot) => !slot.owner);
    return free.reduce<Slot | undefined>((oldest, slot) => (oldest && oldest.idleSince <= slot.idleSince ? oldest : slot), undefined);
  }

  /** The slot that holds the most of it; among equals one that can be taken, with the least to lose. */
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

  #swap(a: Slot, b: Slot): void {
    this.#move(a, b, () => this.#model.swapSlots(a.id, validLength(a), b.id, validLength(b)));
    [a.owner, b.owner] = [b.owner, a.owner];
    [a.idleContent, b.idleContent] = [b.idleContent, a.idleContent];
    [a.idleSince, b.idleSince] = [b.idleSince, a.idleSince];
    if (a.owner) a.owner.slot = a.id;
    if (b.owner) b.owner.slot = b.id;
  }

  #move(a: Slot, b: Slot, move: () => void): void {
    try {
      move();
    } catch (error) {
      throw new SlotMoveError([a.id, b.id], error);
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
export type SlotMemory = Pick<ModelRunner, "slotCount" | "slotCapacity" | "swapSlots" | "copySlot">;

/**
 * Whether to overwrite what the best match holds beyond the shared part. The victim is the slot that age would have us lose;
 * the two are compared by the number of tokens lost.
 */
function canTakeInPlace({ slot, shared }: Match, victim: Slot): boolean {
  if (slot === victim) return true;
  if (slot.owner) return false;
  const lost = validLength(slot) - shared;
  return lost === 0 || (shared >= minSharedLength && lost <= validLength(victim));
}

function isBetter(a: Match, b: Match): boolean {
  if (a.shared !== b.shared) return a.shared > b.shared;
  if (!a.slot.owner !== !b.slot.owner) return !a.slot.owner;
  return validLength(a.slot) < validLength(b.slot);
}

function sharedLength(slot: Slot, wanted: SlotContent): number {
  const content = slot.owner?.computedContent() ?? slot.idleContent;
  return content ? commonPrefixLength(content, wanted) : 0;
}

function validLength(slot: Slot): number {
  return slot.owner?.computedLength ?? slot.idleContent?.tokenIds.length ?? 0;
}
