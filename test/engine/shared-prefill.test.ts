import { describe, expect, test } from "vitest";
import type { SlotId } from "../../src/core/batch.ts";
import type { SequenceId } from "../../src/engine/engine-protocol.ts";
import { Sequence } from "../../src/engine/sequence.ts";
import { findLeader } from "../../src/engine/shared-prefill.ts";
import { randomUnit } from "../../src/model/draw-token.ts";
import { answerAlone, makeRequest } from "./fake-model.ts";
import { count, eventsOf, makeEngine, runToEnd, step, tokensOf } from "./make-engine.ts";

const slotCapacity = 400;
const shared = [...count(1, 150), "cat"];
const questions = [count(500, 30), count(600, 10), count(700, 60), count(800, 20)];
const contents = questions.map((question) => [...shared, ...question]);
const sharedLength = 153; // a picture has three tokens

function makeBusy() {
  const made = makeEngine({ slotCount: 4, slotCapacity }, { prefillChunkTokens: 20 });
  return { ...made, ids: contents.map((content) => made.submit(content)) };
}

describe("prompts that come together and begin alike", () => {
  test("compute what they have in common once, its picture too, and have the answers that they have alone", () => {
    const { engine, model, ids } = makeBusy();
    const events = runToEnd(engine);

    expect(model.promptTokenCount).toBe(sharedLength + questions.flat().length);
    expect(model.log.filter((line) => line.startsWith("encode"))).toEqual(["encode cat"]);
    for (const [i, id] of ids.entries()) {
      expect(tokensOf(eventsOf(events, id))).toEqual(answerAlone(makeRequest(contents[i]!), slotCapacity));
    }
  });

  test("have a first token no later than where each computes for itself: the shortest has its turns, whoever computes in them", () => {
    const { engine, ids } = makeBusy();
    let steps = 0;
    const events: ReturnType<typeof step> = [];
    for (; tokensOf(eventsOf(events, ids[1]!)).length === 0; steps++) events.push(...step(engine));

    expect(steps).toBeLessThanOrEqual(2 * Math.ceil((sharedLength + 10) / 20)); // every other turn is the oldest's
  });

  test.each([
    ["is aborted", ({ engine, ids }: ReturnType<typeof makeBusy>) => engine.abort(ids[0]!)],
    ["fails", ({ model }: ReturnType<typeof makeBusy>) => void (model.failNext = "step")],
  ])("go on where the one that computes it %s", (_, end) => {
    const made = makeBusy();
    const events = [...step(made.engine), ...step(made.engine), ...step(made.engine)];
    end(made);
    events.push(...runToEnd(made.engine));

    for (const [i, id] of made.ids.entries()) {
      if (i === 0) expect(tokensOf(eventsOf(events, id))).toEqual([]);
      else expect(tokensOf(eventsOf(events, id))).toEqual(answerAlone(makeRequest(contents[i]!), slotCapacity));
    }
  });

  test("are told when they start what they did not compute, and no sooner", () => {
    const { engine, ids } = makeBusy();
    const early = step(engine);
    expect(early.map(([id, { type }]) => [id, type])).toEqual([[ids[0], "started"]]);
    const events = [...early, ...runToEnd(engine)];

    const cached = ids.map((id) => eventsOf(events, id)[0]).map((event) => event?.type === "started" && event.cachedTokens);
    expect(cached).toEqual([0, sharedLength, sharedLength, sharedLength]);
  });

  test("fail where the copy does, and no other with them", () => {
    const { engine, model, ids, submit } = makeBusy();
    const other = submit(count(900, 5));
    const events: ReturnType<typeof step> = [];
    while (model.promptTokenCount < sharedLength) events.push(...step(engine));
    model.failNext = "move";
    events.push(...runToEnd(engine));

    const failed = [...ids, other].filter((id) => eventsOf(events, id).at(-1)!.type === "failed");
    expect(failed).toHaveLength(2);
    expect(failed).not.toContain(other);
  });

  test("of clients that share nothing are computed each for itself", () => {
    const { engine, model, submit } = makeEngine({ slotCount: 2, slotCapacity }, { prefillChunkTokens: 20 });
    for (const cacheSalt of ["ann", "bob"]) submit(contents[0]!, { cacheSalt });
    runToEnd(engine);
    expect(model.promptTokenCount).toBe(2 * (sharedLength + 30));
  });

  test("do not wait for one that is scored, which is computed in smaller chunks", () => {
    const { engine, submit } = makeEngine({ slotCount: 2, slotCapacity }, { prefillChunkTokens: 100 });
    submit(count(1, 390), { promptLogprobCount: 0 });
    const other = submit(count(1, 300));
    const events: ReturnType<typeof step> = [];
    let steps = 0;
    for (; tokensOf(eventsOf(events, other)).length === 0; steps++) events.push(...step(engine));

    expect(steps).toBeLessThanOrEqual(2 * Math.ceil(300 / 100));
  });

  test("wait for older ones only, so that two never wait for each other", () => {
    const make = (number: number) => {
      const sequence = new Sequence(number as SequenceId, makeRequest(contents[number]!), slotCapacity);
      return Object.assign(sequence, { slot: number as SlotId, started: { atMs: 0, number } });
    };
    const [older, younger] = [make(0), make(1)];
    const running = [older, younger];

    expect(findLeader(younger, running)).toEqual({ leader: older, length: sharedLength });
    expect(findLeader(older, running)).toBeUndefined();
  });

  test.each(count(0, 100))("count every token of a prompt once, as computed or as cached (%s)", (seed) => {
    let drawCount = 0;
    const random = (below: number): number => Math.floor(randomUnit(seed, drawCount++) * below);
    const { engine, model, submit } = makeEngine(
      { slotCount: 1 + random(5), spareSlotCount: random(3), slotCapacity },
      { prefillChunkTokens: 5 + random(40) },
    );
    const events: ReturnType<typeof step> = [];
    let promptTokens = 0;
    for (let i = 0; i < 12; i++) {
      const content = [...count(1 + random(2), 30 + random(60)), ...count(500 + random(300), random(40))];
      submit(content, { maxTokens: 1 + random(5) });
      promptTokens += content.length;
      for (let steps = random(4); steps > 0; steps--) events.push(...step(engine));
    }
    events.push(...runToEnd(engine));

    const cached = events.reduce((sum, [, event]) => sum + (event.type === "started" ? event.cachedTokens : 0), 0);
    expect(cached).toBeGreaterThan(0);
    expect(cached + model.promptTokenCount).toBe(promptTokens);
  });
});
