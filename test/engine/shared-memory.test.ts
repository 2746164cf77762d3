import { describe, expect, test } from "vitest";
import { answerAlone, makeRequest } from "./fake-model.ts";
import { count, eventsOf, makeEngine, runToEnd, step, tokensOf } from "./make-engine.ts";

/** Slots of 60 tokens that share `pageCount` pages of 10. */
function makeScarce(pageCount: number, headroomTokens = 0) {
  return makeEngine({ slotCapacity: 60, pages: { tokens: 10, count: pageCount } }, { prefillChunkTokens: 100, headroomTokens });
}

type Made = ReturnType<typeof makeEngine>;

function stepUntil({ engine }: Made, isReached: () => boolean) {
  const events = [];
  while (!isReached()) {
    if (!engine.hasWork()) throw new Error("it was not reached");
    events.push(...step(engine));
  }
  return events;
}

describe("slots that share their memory", () => {
  test("get pages for the prompt when they are taken, and one by one as the answer grows", () => {
    const { engine, model, submit } = makeScarce(6);
    submit(count(1, 15), { maxTokens: 20 });
    runToEnd(engine);

    expect(model.log.filter((line) => line.startsWith("resize"))).toEqual(["resize 0 2", "resize 0 3", "resize 0 4"]);
  });

  test("are not given to a prompt that there is no memory for, though one is free", () => {
    const made = makeScarce(6);
    const [a, b] = [made.submit(count(1, 35), { maxTokens: 3 }), made.submit(count(100, 25))];
    const before = step(made.engine);

    expect(made.engine.stats()).toMatchObject({ running: 1, waiting: 1, kvCacheUsage: 4 / 6 });
    const events = [...before, ...runToEnd(made.engine)];
    const order = events.map(([id, { type }]) => `${id} ${type}`);
    expect(order.indexOf(`${b} started`)).toBeGreaterThan(order.indexOf(`${a} finished`));
  });

  test.each([
    ["may both grow by a page", 30, 30, 1],
    ["both end within their pages", 5, 5, 2],
    ["may grow by a page, one of them", 30, 5, 1],
    ["grow later than that", 30, 30, 2],
  ])("are given to who comes only if there is memory for the next tokens of all, which %s", (what, first, second, running) => {
    const made = makeScarce(6, what.includes("later") ? 5 : 10);
    made.submit(count(1, 25), { maxTokens: first });
    made.submit(count(100, 25), { maxTokens: second });
    step(made.engine);

    expect(made.engine.stats()).toMatchObject({ running, waiting: 2 - running });
  });

  test("go from the youngest to the older ones; its answer is the same, and it starts once", () => {
    const made = makeScarce(7);
    const requests = [count(1, 15), count(100, 15), count(200, 15)].map((content) => makeRequest(content, { maxTokens: 30 }));
    const ids = requests.map(({ prompt }) => made.submit([...prompt.tokenIds], { maxTokens: 30 }));
    const begun = stepUntil(made, () => made.engine.stats().preemptions > 0);
    expect(begun.slice(-2).map(([id]) => id)).toEqual(ids.slice(0, 2));
    const events = [...begun, ...runToEnd(made.engine)];

    for (const [i, id] of ids.entries()) {
      expect(tokensOf(eventsOf(events, id))).toEqual(answerAlone(requests[i]!, 60));
      expect(eventsOf(events, id).filter(({ type }) => type === "started")).toHaveLength(1);
    }
    const ends = events.filter(([, { type }]) => type === "finished").map(([id]) => id);
    expect(ends, "the older never wait for the younger").toEqual(ids);
  });

  test("what the youngest had computed is not computed again, as far as nobody needed the memory", () => {
    const made = makeScarce(8);
    made.submit(count(1, 15), { maxTokens: 20 });
    const young = made.submit(count(100, 35), { maxTokens: 20 });
    const events = stepUntil(made, () => made.engine.stats().preemptions > 0);
    const had = 35 + tokensOf(eventsOf(events, young)).length;
    made.model.log.length = 0;
    runToEnd(made.engine);

    const again = made.model.log.find((line) => line.startsWith("prefill"));
    expect(again).toMatch(new RegExp(`^prefill \\d\\[[1-4]0\\.\\.${had}\\)$`));
  });

  test("come back to who lost them, who counts as waiting, before anybody else gets one", () => {
    const memory = { slotCount: 2, slotCapacity: 60, pages: { tokens: 10, count: 7 } };
    const made = makeEngine(memory, { prefillChunkTokens: 100, headroomTokens: 0, maxWaiting: 1 });
    const [, young] = [made.submit(count(1, 15), { maxTokens: 40 }), made.submit(count(100, 25), { maxTokens: 30 })];
    stepUntil(made, () => made.engine.stats().preemptions > 0);
    const late = made.submit([1], { maxTokens: 1 });
    expect(made.engine.stats().waiting).toBe(2);
    expect(() => made.submit([2])).toThrow("2 answers are waiting already, and the queue is for 1");
    const events: ReturnType<typeof step> = [];
    while (eventsOf(events, late).length === 0) events.push(...step(made.engine));

    expect(made.engine.stats().waiting, "the young one is back").toBe(0);
    expect(tokensOf(eventsOf([...events, ...runToEnd(made.engine)], young)).length).toBeGreaterThan(0);
  });

  test("who waits for one can be aborted, or be told that it has enough", () => {
    for (const end of ["abort", "finish"] as const) {
      const made = makeScarce(7);
      const [old, young] = [made.submit(count(1, 15), { maxTokens: 40 }), made.submit(count(100, 25), { maxTokens: 30 })];
      stepUntil(made, () => made.engine.stats().preemptions > 0);
      expect(made.engine.stats()).toMatchObject({ running: 1, waiting: 1 });

      made.engine[end](young);
      const events = step(made.engine);

      expect(eventsOf(events, young)).toEqual(end === "abort" ? [] : [{ type: "finished", reason: "length" }]);
      expect(made.engine.stats()).toMatchObject({ running: 1, waiting: 0 });
      expect(tokensOf(eventsOf(runToEnd(made.engine), old)).length).toBeGreaterThan(0);
    }
  });

  test("that are idle lose their last pages when there is no free one, the one not used for longest first", () => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 80, pages: { tokens: 10, count: 12 } }, { headroomTokens: 0 });
    for (const first of [1, 100]) {
      submit(count(first, 40), { maxTokens: 1 });
      runToEnd(engine);
    }
    submit(count(200, 60), { maxTokens: 1 });
    runToEnd(engine);

    expect(model.log.filter((line) => line.startsWith("resize"))).toEqual(["resize 0 4", "resize 1 4", "resize 0 2", "resize 2 6"]);
  });

  test("that are idle are continued in place where there is no memory for a copy of their prefix", () => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 100, pages: { tokens: 10, count: 10 } }, { headroomTokens: 0 });
    submit(count(1, 60), { maxTokens: 1 });
    runToEnd(engine);
    submit([...count(1, 35), ...count(200, 15)], { maxTokens: 1 });
    runToEnd(engine);

    expect(model.log.at(-1)).toBe("prefill 0[35..50)");
  });

  test("a picture whose memory went to others is encoded in a step of its own again", () => {
    const made = makeEngine(
      { slotCount: 2, slotCapacity: 60, keptImages: 0, pages: { tokens: 5, count: 12 } },
      { prefillChunkTokens: 100, headroomTokens: 0 },
    );
    made.submit(count(1, 15), { maxTokens: 40 });
    const young = made.submit([...count(100, 20), "cat"], { maxTokens: 20 });
    const events = runToEnd(made.engine);

    expect(made.model.log.filter((line) => line === "encode cat").length).toBeGreaterThan(1);
    expect(tokensOf(eventsOf(events, young))).toEqual(answerAlone(makeRequest([...count(100, 20), "cat"], { maxTokens: 20 }), 60));
  });

  test("what idle ones hold goes first, the oldest from its end, and what is left of it is used", () => {
    const made = makeScarce(6);
    for (const content of [count(1, 48), count(100, 15)]) {
      made.submit(content, { maxTokens: 1 });
      runToEnd(made.engine);
    }

    const again = made.submit(count(1, 48), { maxTokens: 1 });
    expect(eventsOf(runToEnd(made.engine), again)[0]).toMatchObject({ type: "started", cachedTokens: 40 });
  });

  test("where there is no memory for a copy of a prefix, the original is continued", () => {
    const made = makeScarce(6);
    made.submit(count(1, 45), { maxTokens: 1 });
    runToEnd(made.engine);
    made.model.log.length = 0;
    const id = made.submit([...count(1, 35), 99], { maxTokens: 1 });

    expect(eventsOf(runToEnd(made.engine), id)[0]).toMatchObject({ type: "started", cachedTokens: 35 });
    expect(made.model.log.filter((line) => line.startsWith("copy"))).toEqual([]);
  });

  test("one that cannot get memory fails alone", () => {
    const made = makeScarce(12);
    const [a, b] = [made.submit(count(1, 15), { maxTokens: 20 }), made.submit(count(100, 12), { maxTokens: 20 })];
    stepUntil(made, () => made.engine.stats().running === 2);
    made.model.failNext = "resize";
    const events = runToEnd(made.engine);

    const ends = [a, b].map((id) => eventsOf(events, id).at(-1)!.type);
    expect(ends.toSorted()).toEqual(["failed", "finished"]);
  });
});
