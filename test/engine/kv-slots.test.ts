import { describe, expect, test } from "vitest";
import type { SlotId } from "../../src/core/batch.ts";
import type { SequenceId } from "../../src/engine/engine-protocol.ts";
import { KvSlots, minSharedLength, SlotMoveError, type SlotMemory } from "../../src/engine/kv-slots.ts";
import { Sequence } from "../../src/engine/sequence.ts";
import { makeRequest } from "./fake-model.ts";

const slotCapacity = 200;

/** Slots over a memory that only writes down what it is asked for. */
function makeSlots(slotCount: number, spareSlotCount = 0) {
  const log: string[] = [];
  const memory = {
    slotCount,
    spareSlotCount,
    decodesOneAnywhere: false,
    slotCapacity,
    pages: { tokens: slotCapacity, count: slotCount + spareSlotCount },
    isBroken: false as boolean,
    swapSlots: (a: SlotId, lengthA: number, b: SlotId, lengthB: number) => move(`swap ${a}:${lengthA} ${b}:${lengthB}`),
    resizeSlot: () => {},
    copySlot: (from: SlotId, to: SlotId, length: number) => move(`copy ${from} → ${to}:${length}`),
  } satisfies SlotMemory & { isBroken: boolean };
  const move = (line: string): void => {
    log.push(line);
    if (memory.isBroken) throw new Error("out of order");
  };
  return { slots: new KvSlots(memory, 0), memory, log };
}

let nextId = 0;

function makeSequence(content: readonly (number | string)[], cacheSalt?: string): Sequence {
  const request = makeRequest(content, cacheSalt === undefined ? {} : { cacheSalt });
  return new Sequence(nextId++ as SequenceId, request, slotCapacity);
}

/** Acquires a slot and computes the whole prompt. */
function run(slots: KvSlots, content: readonly (number | string)[], cacheSalt?: string): Sequence {
  const sequence = makeSequence(content, cacheSalt);
  expect(slots.acquire(sequence)).toBe(true);
  sequence.computedLength = sequence.promptLength;
  return sequence;
}

function count(from: number, length: number): number[] {
  return Array.from({ length }, (_, i) => from + i);
}

describe("acquiring a slot", () => {
  test("takes the lowest empty one", () => {
    const { slots } = makeSlots(3);
    expect([run(slots, [1]), run(slots, [2]), run(slots, [3])].map(({ slot }) => slot)).toEqual([0, 1, 2]);
    expect(slots.acquire(makeSequence([4]))).toBe(false);
  });

  test("continues the prefix an idle slot holds, answer included", () => {
    const { slots, log } = makeSlots(3);
    const first = run(slots, [1, 2, 3]);
    first.append(50);
    first.append(51);
    first.computedLength = 4; // the token drawn last is never computed
    slots.release(first);

    const second = makeSequence([1, 2, 3, 50, 51, 7]);
    slots.acquire(second);
    expect([second.slot, second.computedLength]).toEqual([0, 4]);
    expect(log).toEqual([]);
  });

  test("computes the last prompt token again", () => {
    const { slots } = makeSlots(1);
    slots.release(run(slots, [1, 2, 3]));
    const again = makeSequence([1, 2, 3]);
    slots.acquire(again);
    expect(again.computedLength).toBe(2);
  });

  test("takes the oldest idle slot when no prefix fits", () => {
    const { slots } = makeSlots(3);
    const [a, b, c] = [run(slots, [1]), run(slots, [2]), run(slots, [3])];
    for (const sequence of [b, c, a]) slots.release(sequence);
    expect(run(slots, [9]).slot).toBe(1);
    expect(run(slots, [9, 9]).slot).toBe(2);
  });

  test("takes an empty slot before an idle one", () => {
    const { slots } = makeSlots(2);
    slots.release(run(slots, [1, 2, 3]));
    expect(run(slots, [9]).slot).toBe(1);
  });

  test("copies a long prefix out of a slot that is in use, and only what is computed there", () => {
    const { slots, log } = makeSlots(2);
    const busy = makeSequence(count(1, 100));
    slots.acquire(busy);
    busy.computedLength = 60;
    const second = makeSequence(count(1, 100));
    slots.acquire(second);
    expect(log).toEqual(["copy 0 → 1:60"]);
    expect(second.computedLength).toBe(60);
  });

  test("continues an idle slot rather than copy the same prefix out of one in use", () => {
    const { slots, log } = makeSlots(3);
    const text = count(1, 50);
    const [first] = [run(slots, text), run(slots, text)];
    slots.release(first!);
    log.length = 0;

    expect(run(slots, [...text, 99]).slot).toBe(0);
    expect(log).toEqual([]);
  });

  test("does not copy a short prefix", () => {
    const { slots, log } = makeSlots(2);
    run(slots, count(1, minSharedLength - 1));
    expect(run(slots, [...count(1, minSharedLength - 1), 999]).slot).toBe(1);
    expect(log).toEqual([]);
  });

  describe("of conversations that have an opening in common", () => {
    const opening = count(1, 40);

    test.each([
      ["an empty slot", []],
      ["the oldest one", count(500, 50)],
      ["the oldest one, be it longer than all that another would lose", count(500, 150)],
    ])("leaves each its slot: a new one gets a copy of the opening in %s", (_, oldest) => {
      const { slots, log } = makeSlots(2);
      slots.release(run(slots, oldest.length > 0 ? oldest : [1]));
      if (oldest.length === 0) slots.forget(0 as SlotId);
      const first = run(slots, [...opening, ...count(100, 30)]);
      const place = first.slot;
      slots.release(first);
      const second = run(slots, [...opening, ...count(200, 30)]);
      expect(second.slot).not.toBe(place);
      expect(log).toEqual([`copy ${place} → ${second.slot}:40`]);
    });

    test("takes the oldest, which has the opening itself", () => {
      const { slots, log } = makeSlots(3);
      const [long, short, newest] = [run(slots, [...opening, ...count(100, 60)]), run(slots, [...opening, 99, 98]), run(slots, [7])];
      for (const sequence of [long, short, newest]) slots.release(sequence);
      log.length = 0;
      const another = makeSequence([...opening, ...count(100, 20).toReversed()]);
      slots.acquire(another);
      expect([another.slot, another.computedLength]).toEqual([0, 40]);
      expect(log).toEqual([]);
    });

    test("finds all of its last turn in the next one, however many ended before", () => {
      const { slots } = makeSlots(1, 4);
      const ask = (content: readonly number[]): number => {
        const sequence = makeSequence(content);
        slots.acquire(sequence);
        const { computedLength } = sequence;
        sequence.computedLength = sequence.promptLength;
        slots.gatherInFront([sequence]);
        slots.release(sequence);
        return computedLength;
      };
      for (let ended = 0; ended < 8; ended++) ask([...opening, ...count(1000 + 100 * ended, 60)]);
      const conversations = [2000, 3000, 4000].map((from) => [...opening, ...count(from, 50)]);
      for (let turn = 1; turn <= 3; turn++) {
        const cached = conversations.map((tokens) => ask(tokens.slice(0, 40 + 15 * turn)));
        expect(cached).toEqual(turn === 1 ? [40, 40, 40] : [25 + 15 * turn, 25 + 15 * turn, 25 + 15 * turn]);
      }
    });
  });

  test("goes on in the slot of a conversation where the history writes the answer otherwise, though another slot is empty", () => {
    const { slots, log } = makeSlots(2);
    const first = run(slots, [...count(1, 40), 100, 101]); // 101: such as <think>
    for (const token of count(500, 50)) first.append(token);
    first.computedLength = first.length - 1;
    slots.release(first);
    const next = makeSequence([...count(1, 40), 100, 102, ...count(500, 50), 7]);
    slots.acquire(next);
    expect([next.slot, next.computedLength]).toEqual([0, 41]);
    expect(log).toEqual([]);
  });

  test("spare slots keep what sequences left, and no more of them run", () => {
    const { slots } = makeSlots(1, 2);
    for (const start of [1, 100, 150]) slots.release(run(slots, count(start, 3)));
    for (const start of [150, 1, 100]) {
      const sequence = makeSequence(count(start, 5));
      expect(slots.acquire(sequence)).toBe(true);
      expect(sequence.computedLength).toBe(3);
      expect(slots.acquire(makeSequence([9]))).toBe(false);
      slots.gatherInFront([sequence]);
      slots.checkIntegrity([sequence]);
      slots.release(sequence);
    }
  });

  test("does not share between salts", () => {
    const { slots } = makeSlots(2);
    slots.release(run(slots, count(1, 50), "alice"));
    const [bob, alice] = [makeSequence(count(1, 60), "bob"), makeSequence(count(1, 60), "alice")];
    slots.acquire(bob);
    slots.acquire(alice);
    expect([bob.computedLength, alice.computedLength]).toEqual([0, 50]);
  });

  test("does not share between pictures", () => {
    const { slots } = makeSlots(1);
    slots.release(run(slots, [1, 2, "cat", 3]));
    const dog = makeSequence([1, 2, "dog", 3]);
    slots.acquire(dog);
    expect(dog.computedLength).toBe(2);
  });

  test("finds nothing in a slot that was forgotten", () => {
    const { slots } = makeSlots(1);
    const first = run(slots, [1, 2, 3]);
    slots.release(first);
    slots.forget(0 as SlotId);
    const second = makeSequence([1, 2, 3]);
    slots.acquire(second);
    expect(second.computedLength).toBe(0);
  });

  test("leaves the sequence without a slot when the copy fails, and names both slots", () => {
    const { slots, memory } = makeSlots(2);
    run(slots, count(1, 40));
    memory.isBroken = true;
    const second = makeSequence(count(1, 50));
    expect(() => slots.acquire(second)).toThrow(expect.objectContaining({ constructor: SlotMoveError, slots: [0, 1] }));
    expect(second.slot).toBeUndefined();
    expect(slots.usedCount).toBe(1);
  });
});

describe("gathering sequences in front", () => {
  test("moves nothing when they are there, in any order", () => {
    const { slots, log } = makeSlots(3);
    const [a, b] = [run(slots, [1]), run(slots, [2])];
    slots.gatherInFront([b, a]);
    expect(log).toEqual([]);
  });

  test("fills the place of one that left, and keeps the prefix it left", () => {
    const { slots, log } = makeSlots(3);
    const [a, b, c] = [run(slots, [1, 1]), run(slots, [2, 2, 2]), run(slots, [3])];
    slots.release(a);
    slots.gatherInFront([b, c]);
    expect(log).toEqual(["swap 2:1 0:2"]);
    expect([b.slot, c.slot]).toEqual([1, 0]);
    slots.checkIntegrity([b, c]);
    const again = makeSequence([1, 1, 1]);
    slots.acquire(again);
    expect([again.slot, again.computedLength]).toEqual([2, 2]);
  });

  test("exchanges with a sequence that is not one of them", () => {
    const { slots, log } = makeSlots(2);
    const [prefilling, decoding] = [run(slots, [1, 1]), run(slots, [2])];
    slots.gatherInFront([decoding]);
    expect(log).toEqual(["swap 1:1 0:2"]);
    expect([prefilling.slot, decoding.slot]).toEqual([1, 0]);
    slots.checkIntegrity([prefilling, decoding]);
  });

  test("moves each stray once however many leave together", () => {
    const { slots, log } = makeSlots(6);
    const all = count(0, 6).map((id) => run(slots, [id]));
    for (const sequence of [all[0]!, all[3]!, all[5]!]) slots.release(sequence);
    slots.gatherInFront([all[1]!, all[2]!, all[4]!]);
    expect(log).toEqual(["swap 4:1 0:1"]);
  });

  test("changes nothing in the books when the exchange fails", () => {
    const { slots, memory } = makeSlots(2);
    const [a, b] = [run(slots, [1]), run(slots, [2])];
    memory.isBroken = true;
    expect(() => slots.gatherInFront([b])).toThrow(SlotMoveError);
    expect([a.slot, b.slot]).toEqual([0, 1]);
    slots.checkIntegrity([a, b]);
  });
});

describe("the integrity check notices", () => {
  test("a sequence that runs without a slot", () => {
    const { slots } = makeSlots(1);
    expect(() => slots.checkIntegrity([makeSequence([1])])).toThrow(/owners/);
  });

  test("a slot whose owner is not running", () => {
    const { slots } = makeSlots(1);
    run(slots, [1]);
    expect(() => slots.checkIntegrity([])).toThrow(/owners/);
  });

  test("an owner that believes to be elsewhere", () => {
    const { slots } = makeSlots(2);
    const sequence = run(slots, [1]);
    sequence.slot = 1 as SlotId;
    expect(() => slots.checkIntegrity([sequence])).toThrow(/disagree/);
  });
});
