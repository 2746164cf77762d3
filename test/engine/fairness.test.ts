// Who gets the next slot, and the next prefill step.

import { describe, expect, test } from "vitest";
import type { SequenceEvent, SequenceId } from "../../src/engine/engine-protocol.ts";
import { answerAlone, makeRequest } from "./fake-model.ts";
import { count, eventsOf, makeEngine, runToEnd, step, tokensOf } from "./make-engine.ts";

function startsOf(events: readonly SequenceEvent[]): SequenceId[] {
  return events.flatMap(([id, { type }]) => (type === "started" ? id : []));
}

describe("clients that wait", () => {
  test("take turns, however much one of them has sent before", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 });
    const flood = count(0, 6).map(() => submit([1, 2], { clientId: "a", maxTokens: 2 }));
    const [b, c] = [submit([3, 4], { clientId: "b", maxTokens: 2 }), submit([5, 6], { clientId: "c", maxTokens: 2 })];
    expect(startsOf(runToEnd(engine))).toEqual([flood[0], b, c, ...flood.slice(1)]);
  });

  test("are compared by tokens, not by requests", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 });
    const long = count(0, 2).map(() => submit(count(0, 30), { clientId: "long", maxTokens: 1 }));
    const short = count(0, 5).map((i) => submit(count(100 * i + 100, 4), { clientId: "short", maxTokens: 4 }));
    // 31 tokens, then 8 each: the fifth short one would be ahead by then.
    expect(startsOf(runToEnd(engine))).toEqual([long[0], ...short.slice(0, 4), long[1], short[4]]);
  });

  test("pay for what is computed, not for what is cached", () => {
    const { engine, submit } = makeEngine({ slotCount: 1, spareSlotCount: 12 });
    const prompt = count(0, 40);
    const first = submit(prompt, { clientId: "a", maxTokens: 2 });
    const others = count(0, 9).map((i) => submit(count(100 * i + 100, 4), { clientId: "b", maxTokens: 4 }));
    const events = step(engine);
    const followUps = count(0, 3).map(() => submit(prompt, { clientId: "a", maxTokens: 1, isFollowUp: true }));
    // 42 tokens, then 2 each (the last token of a prompt is always computed), and 8 for each of the other client's.
    expect(startsOf([...events, ...runToEnd(engine)])).toEqual([first, ...others.slice(0, 6), ...followUps, ...others.slice(6)]);
  });

  test("do not pay for a beginning that is copied from a prompt beside theirs", () => {
    const { engine, submit } = makeEngine({ slotCount: 3, spareSlotCount: 30, slotCapacity: 200 }, { prefillChunkTokens: 20 });
    const shared = count(0, 100);
    submit([700], { clientId: "b", maxTokens: 8 });
    for (const last of [500, 501]) submit([...shared, last], { clientId: "a", maxTokens: 1 });
    const events = step(engine);
    const mine = submit([600], { clientId: "a", maxTokens: 1 });
    const others = count(0, 20).map((i) => submit(count(800 + 10 * i, 8), { clientId: "b", maxTokens: 1 }));
    events.push(...runToEnd(engine));
    // 104 tokens together, which the other client has had with 11 prompts more, of 9 tokens each.
    const order = startsOf(events).filter((id) => mine === id || others.includes(id));
    expect(order).toHaveLength(1 + others.length);
    expect(order.indexOf(mine)).toBeLessThan(14);
  });

  test("gain nothing by having been away", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 });
    submit([2], { clientId: "late", maxTokens: 1 });
    runToEnd(engine);
    for (let i = 0; i < 5; i++) submit([1], { clientId: "steady", maxTokens: 9 });
    const first: SequenceEvent[] = [];
    while (startsOf(first).length < 3) first.push(...step(engine));
    const late = count(0, 4).map(() => submit([2], { clientId: "late", maxTokens: 9 }));
    const order = startsOf(runToEnd(engine));
    expect(order).toHaveLength(6);
    expect(order.slice(0, 4).filter((id) => late.includes(id))).toHaveLength(2);
  });

  test("do not pay for what they had while nobody waited", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 });
    submit([1], { clientId: "early", maxTokens: 60 });
    runToEnd(engine);
    const late = count(0, 4).map((i) => submit([2, i], { clientId: "late", maxTokens: 9 }));
    for (let i = 0; i < 4; i++) submit([1, i], { clientId: "early", maxTokens: 9 });
    const order = startsOf(runToEnd(engine));
    expect(order.slice(0, 4).filter((id) => late.includes(id))).toHaveLength(2);
  });

  test("gain nothing by having had nothing that waited", () => {
    const { engine, submit } = makeEngine({ slotCount: 4 });
    submit([2], { clientId: "patient", maxTokens: 60 });
    for (let i = 0; i < 30; i++) submit([1], { clientId: "steady", maxTokens: 9 });
    const first: SequenceEvent[] = [];
    while (startsOf(first).length < 13) first.push(...step(engine));
    const more = count(0, 8).map(() => submit([2], { clientId: "patient", maxTokens: 9 }));
    const order = startsOf(runToEnd(engine));
    expect(order.slice(0, 9).filter((id) => more.includes(id)).length).toBeLessThan(5);
  });

  test("with several requests at a time have their share beside others that send one after another", () => {
    const { engine, submit } = makeEngine({ slotCount: 2 });
    const clients = new Map<SequenceId, string>();
    const answers = new Map<string, number>();
    const send = (clientId: string) => clients.set(submit([1, 2], { clientId, maxTokens: 6 }), clientId);
    for (const clientId of ["a", "a", "b", "c", "d", "e"]) send(clientId);
    for (let i = 0; i < 500; i++) {
      for (const [id, { type }] of step(engine)) {
        if (type !== "finished") continue;
        const clientId = clients.get(id)!;
        answers.set(clientId, (answers.get(clientId) ?? 0) + 1);
        send(clientId);
      }
    }
    const counts = ["a", "b", "c", "d", "e"].map((clientId) => answers.get(clientId) ?? 0);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThan(3);
  });

  test("are served in the order of arrival when nobody tells them apart", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 });
    const ids = [30, 1, 20, 2].map((length) => submit(count(0, length), { maxTokens: 1 }));
    expect(startsOf(runToEnd(engine))).toEqual(ids);
  });

  test("see what goes on with a request that had its turn come first, but not before other clients", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 });
    submit([1], { clientId: "a" });
    step(engine);
    const later = submit([2], { clientId: "a" });
    const followUps = [submit([3], { clientId: "a", isFollowUp: true }), submit([4], { clientId: "a", isFollowUp: true })];
    const other = submit([5], { clientId: "b" });
    expect(startsOf(runToEnd(engine))).toEqual([other, ...followUps, later]);
  });

  test("have their own order among their requests, and overtake nobody by it", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 });
    submit([1], { clientId: "a" });
    step(engine);
    const mine = (priority?: number) => submit([2], { clientId: "a", ...(priority !== undefined && { priority }) });
    const [late, usual, first, second] = [mine(3), mine(), mine(-5), mine(-5)];
    const followUp = submit([3], { clientId: "a", isFollowUp: true, priority: 9 });
    const other = submit([4], { clientId: "b", priority: 100 });
    expect(startsOf(runToEnd(engine))).toEqual([other, followUp, first, second, usual, late]);
  });

  test("cannot lock another out of the queue", () => {
    const { submit } = makeEngine({ slotCount: 1 }, { maxWaiting: 2 });
    for (let i = 0; i < 3; i++) submit([1], { clientId: "flood" });
    expect(() => submit([1], { clientId: "flood" })).toThrow("waiting already");
    submit([2], { clientId: "other" });
    expect(() => submit([2], { clientId: "other" })).toThrow("waiting already");
  });
});

describe("a client that holds all slots", () => {
  const long = { clientId: "long", maxTokens: 30 };
  const other = { clientId: "other", maxTokens: 3 };

  test("makes room for another one; its youngest answer pauses, with its pictures, and is the same in the end", () => {
    const { engine, submit } = makeEngine({ slotCount: 3 });
    const contents = count(0, 3).map((i) => [i, "cat", 7]);
    const ids = contents.map((content) => submit(content, long));
    const before = count(0, 12).flatMap(() => step(engine));
    const late = submit([9, 9], other);
    const after = runToEnd(engine);

    const order = after.filter(([, { type }]) => type === "started" || type === "finished").map(([id]) => id);
    expect(order).toEqual([late, late, ...ids]);
    const end = after.findIndex(([id, { type }]) => id === late && type === "finished");
    const going = new Set(after.slice(0, end).map(([id]) => id));
    expect([...going].toSorted(), "the first two go on").toEqual([ids[0], ids[1], late]);
    expect(engine.stats().preemptions).toBe(1);
    for (const [i, id] of ids.entries()) {
      const events = eventsOf([...before, ...after], id);
      expect(tokensOf(events)).toEqual(answerAlone(makeRequest(contents[i]!, long), 64));
      expect(events.filter(({ type }) => type === "started")).toHaveLength(1);
    }
  });

  test("gives one slot to each, and keeps one", () => {
    const { engine, submit } = makeEngine({ slotCount: 3 });
    for (let i = 0; i < 4; i++) submit([i], long);
    step(engine);
    const others = ["b", "b", "c", "d"].map((clientId) => submit([8], { clientId, maxTokens: 30 }));
    const events = step(engine);

    expect(startsOf(events)).toEqual([others[0], others[2]]);
    expect(engine.stats()).toMatchObject({ running: 3, waiting: 5, preemptions: 2 });
  });

  test("makes room in the memory that slots share, too", () => {
    const { engine, submit } = makeEngine({ slotCount: 4, pages: { tokens: 8, count: 9 } }, { headroomTokens: 8 });
    for (let i = 0; i < 3; i++) submit(count(100 * i, 16), long);
    step(engine);
    expect(engine.stats()).toMatchObject({ running: 3, waiting: 0 });
    const late = submit(count(500, 24), other);

    expect(startsOf(step(engine))).toEqual([late]);
    expect(engine.stats()).toMatchObject({ running: 2, waiting: 2 });
  });

  test("keeps them where not even one answer alone would leave memory for the other", () => {
    const { engine, submit } = makeEngine({ slotCount: 4, pages: { tokens: 8, count: 9 } }, { headroomTokens: 8 });
    for (let i = 0; i < 3; i++) submit(count(100 * i, 16), long);
    step(engine);
    const late = submit(count(500, 48), other);

    step(engine);
    expect(engine.stats()).toMatchObject({ running: 3, waiting: 1, preemptions: 0 });
    expect(eventsOf(runToEnd(engine), late).at(-1)).toMatchObject({ type: "finished" });
  });

  test("keeps its slots where nobody tells clients apart", () => {
    const { engine, submit } = makeEngine({ slotCount: 2 });
    for (let i = 0; i < 3; i++) submit([i], { maxTokens: 9 });
    runToEnd(engine);
    expect(engine.stats().preemptions).toBe(0);
  });
});

describe("a short prompt", () => {
  test("does not wait for the end of a long one that came before", () => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 100 }, { prefillChunkTokens: 10 });
    submit(count(0, 60), { maxTokens: 1 });
    submit([7, 8], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log.slice(0, 3)).toEqual(["prefill 0[0..10)", "prefill 1[0..2)", "prefill 0[10..20)"]);
  });

  test("does not keep a long one waiting, however many there are", () => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 100, slotCount: 3 }, { prefillChunkTokens: 10 });
    submit(count(0, 60), { maxTokens: 1 });
    for (let i = 0; i < 50; i++) submit([i, i], { maxTokens: 1 });
    const steps = () => model.log.filter((line) => line.startsWith("prefill 0["));
    for (let i = 0; i < 20; i++) step(engine);
    expect(steps()).toContain("prefill 0[50..60)");
  });
});
