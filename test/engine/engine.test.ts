import { describe, expect, onTestFinished, test, vi } from "vitest";
import { entriesOf } from "../../src/core/batch.ts";
import { RequestError } from "../../src/core/errors.ts";
import type { GenerationEvent } from "../../src/core/events.ts";
import { greedy } from "../../src/core/sampling.ts";
import type { EngineRequest, SequenceId } from "../../src/engine/engine-protocol.ts";
import { answerAlone, makeRequest } from "./fake-model.ts";
import { count, eventsOf, makeEngine, runToEnd, step, tokensOf } from "./make-engine.ts";

const started = { type: "started", cachedTokens: 0, sentMs: expect.any(Number), queuedMs: expect.any(Number) };
const token = (tokenId: number): GenerationEvent => ({ type: "token", tokenId });

describe("an answer", () => {
  test("is started, streamed and finished at its token limit", () => {
    const { engine, submit } = makeEngine({ nextToken: (_, drawIndex) => 100 + drawIndex });
    const id = submit([1, 2, 3], { maxTokens: 2 });
    expect(runToEnd(engine)).toEqual([
      [id, started],
      [id, token(100)],
      [id, token(101)],
      [id, { type: "finished", reason: "length" }],
    ]);
  });

  test("ends with a stop token, which is an event like any other", () => {
    const { engine, submit } = makeEngine({ nextToken: (_, drawIndex) => 100 + drawIndex });
    const id = submit([1], { maxTokens: 10, stopTokenIds: [7, 101] });
    expect(eventsOf(runToEnd(engine), id).slice(1)).toEqual([token(100), token(101), { type: "finished", reason: "stop" }]);
  });

  test("ends with `stop` when the stop token is also the last one allowed", () => {
    const { engine, submit } = makeEngine({ nextToken: () => 7 });
    submit([1], { maxTokens: 1, stopTokenIds: [7] });
    expect(runToEnd(engine).at(-1)?.[1]).toEqual({ type: "finished", reason: "stop" });
  });

  test("has tokens that cannot come before it is long enough", () => {
    const { engine, model, submit } = makeEngine();
    const bans: unknown[] = [];
    model.onStep = (batch) => bans.push(...entriesOf(batch).map(({ draw }) => draw?.bannedIds));
    submit([1, 2], { maxTokens: 4, stopTokenIds: [7], notBefore: { tokenCount: 2, tokenIds: [7, 9] } });
    runToEnd(engine);
    expect(bans).toEqual([[7, 9], [7, 9], undefined, undefined]);
  });

  test("ends where the slot is full", () => {
    const { engine, submit } = makeEngine({ slotCapacity: 8 });
    const id = submit([1, 2, 3, 4, 5], { maxTokens: Infinity });
    const events = eventsOf(runToEnd(engine), id);
    expect(events.filter(({ type }) => type === "token")).toHaveLength(3);
    expect(events.at(-1)).toEqual({ type: "finished", reason: "length" });
  });

  test("is the same for any size of prefill chunks", () => {
    const request = makeRequest([1, "cat", 2, 3, "dog", "cat", 4], { maxTokens: 6 });
    for (const prefillChunkTokens of [1, 2, 5, 100]) {
      const { engine } = makeEngine({}, { prefillChunkTokens });
      engine.submit(0 as SequenceId, request);
      const tokens = runToEnd(engine).flatMap(([, event]) => (event.type === "token" ? event.tokenId : []));
      expect(tokens).toEqual(answerAlone(request, 64));
    }
  });
});

describe("steps", () => {
  test("prefill in chunks, then decode", () => {
    const { engine, model, submit } = makeEngine({}, { prefillChunkTokens: 2 });
    submit([1, 2, 3, 4, 5, 6], { maxTokens: 3 });
    runToEnd(engine);
    expect(model.log).toEqual(["prefill 0[0..2)", "prefill 0[2..4)", "prefill 0[4..6)", "decode 0", "decode 0"]);
  });

  test("decode the last token of a prompt if it is the only one left, together with running answers", () => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 100 });
    const prompt = count(1, 50);
    const ids = [submit(prompt)];
    const events = step(engine);
    ids.push(submit(prompt), submit(prompt));
    events.push(...runToEnd(engine));

    const steps = model.log.filter((line) => !/^copy|^swap/.test(line));
    expect(steps).toEqual(["prefill 0[0..50)", "decode 0 1 2", "decode 0 1 2", "decode 0 1 2", "decode 0 1"]);
    for (const id of ids) expect(tokensOf(eventsOf(events, id))).toEqual(answerAlone(makeRequest(prompt), 100));
  });

  test("decode the last token of equal prompts that came together, once the first of them is computed", () => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 100 }, { prefillChunkTokens: 25 });
    for (let i = 0; i < 3; i++) submit(count(1, 50), { maxTokens: 3 });
    runToEnd(engine);

    const steps = model.log.filter((line) => !/^copy|^swap/.test(line));
    expect(steps).toEqual(["prefill 0[0..25)", "prefill 0[25..50)", "decode 0", "decode 0 1 2", "decode 0 1", "decode 0 1"]);
  });

  test("decode all active sequences together", () => {
    const { engine, model, submit } = makeEngine();
    submit([1], { maxTokens: 5 });
    submit([2], { maxTokens: 5 });
    submit([3], { maxTokens: 5 });
    runToEnd(engine);
    expect(model.log).toContain("decode 0 1 2");
  });

  test("alternate between a long prompt and running answers", () => {
    const { engine, model, submit } = makeEngine({}, { prefillChunkTokens: 2 });
    submit([1, 1], { maxTokens: 4 });
    step(engine);
    submit([2, 2, 2, 2, 2, 2], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log).toEqual([
      "prefill 0[0..2)",
      "decode 0",
      "prefill 1[0..2)",
      "decode 0",
      "prefill 1[2..4)",
      "decode 0",
      "prefill 1[4..6)",
    ]);
  });

  test("take prompts in the order of their arrival", () => {
    const { engine, model, submit } = makeEngine({ slotCount: 2 }, { prefillChunkTokens: 2 });
    submit([1, 1, 1, 1], { maxTokens: 1 });
    submit([2, 2, 2, 2], { maxTokens: 1 });
    submit([3, 3], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log).toEqual(["prefill 0[0..2)", "prefill 0[2..4)", "prefill 1[0..2)", "prefill 1[2..4)", "prefill 0[0..2)"]);
  });

  test("move the last answer into the place of one that ended", () => {
    const { engine, model, submit } = makeEngine();
    submit([1], { maxTokens: 3 });
    submit([2], { maxTokens: 9 });
    submit([3], { maxTokens: 9 });
    runToEnd(engine);
    expect(model.log.filter((line) => line.startsWith("swap"))).toEqual(["swap 2 0"]);
  });

  test.each([
    [false, ["swap 1 0", "decode 0"]],
    [true, ["decode 1"]],
  ])("of one sequence stay in its slot where the model can decode it there: %s", (decodesOneAnywhere, expected) => {
    const { engine, model, submit } = makeEngine({ decodesOneAnywhere });
    for (const prompt of [count(1, 2), count(3, 2)]) {
      submit(prompt, { maxTokens: 1 });
      runToEnd(engine);
    }
    model.log.length = 0;
    submit(count(3, 4), { maxTokens: 2 });
    runToEnd(engine);
    expect(model.log).toEqual(["prefill 1[2..4)", ...expected]);
  });

  test("do nothing when there is nothing to do", () => {
    const { engine, model } = makeEngine();
    expect(engine.step()).toEqual([]);
    expect(model.log).toEqual([]);
  });
});

test("an answer in two runs draws and is penalised as one in a single run is", () => {
  const draws = (requests: readonly EngineRequest[]) => {
    const seen: { drawIndex: number; changed: number[] }[] = [];
    const { engine, model } = makeEngine({ nextToken: (cells) => cells.length % 7 });
    model.onStep = (batch) => {
      for (const { draw } of entriesOf(batch)) {
        if (!draw) continue;
        const ids = [...draw.changes!.tokenIds()].toSorted((a, b) => a - b);
        seen.push({ drawIndex: draw.drawIndex, changed: ids.map((id) => draw.changes!.changed(id, 1, 1)) });
      }
    };
    requests.forEach((request, id) => {
      engine.submit(id as SequenceId, request);
      runToEnd(engine);
    });
    return seen;
  };
  const sampling = { ...greedy, presencePenalty: 1, frequencyPenalty: 0.5, repetitionPenalty: 1.5 };
  const question = [30, 31, 32, 33];
  const first = makeRequest(question, { sampling, maxTokens: 3 });
  const second = makeRequest([...question, 4, 5, 6], { sampling, maxTokens: 5, generatedCount: 3 });

  expect(draws([first, second])).toEqual(draws([makeRequest(question, { sampling, maxTokens: 8 })]));
});

describe("the cache", () => {
  test("continues a conversation where it ended", () => {
    const { engine, model, submit } = makeEngine({ nextToken: (_, drawIndex) => 100 + drawIndex });
    submit([1, "cat", 2], { maxTokens: 3 });
    runToEnd(engine);
    const second = submit([1, "cat", 2, 100, 101, 102, 3]);
    expect(eventsOf(runToEnd(engine), second)[0]).toMatchObject({ type: "started", cachedTokens: 7 });
    expect(model.promptTokenCount).toBe(5 + 2);
  });

  test("continues more conversations than run at the same time, where slots are spare", () => {
    const { engine, submit } = makeEngine({ slotCount: 2, spareSlotCount: 3, nextToken: (_, drawIndex) => 100 + drawIndex });
    const openings = [1, 2, 3, 4, 5].map((start) => [start, 20, 30]);
    for (const opening of openings) submit(opening, { maxTokens: 3 });
    runToEnd(engine);
    const second = openings.map((opening) => submit([...opening, 100, 101, 102, 7], { maxTokens: 3 }));
    const events = runToEnd(engine);
    for (const id of second) expect(eventsOf(events, id)[0]).toMatchObject({ type: "started", cachedTokens: 5 });
  });

  test("gives a second request the long prefix of one that runs", () => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 200 });
    submit(count(1, 100), { maxTokens: 5 });
    step(engine);
    const second = submit([...count(1, 80), 7]);
    expect(eventsOf(runToEnd(engine), second)[0]).toMatchObject({ type: "started", cachedTokens: 80 });
    expect(model.log).toContain("copy 0 → 1 (80)");
  });
});

describe("the queue", () => {
  test("holds what finds no slot, and admits in order", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 });
    const ids = [submit([1]), submit([2]), submit([3])];
    step(engine);
    expect(engine.stats()).toMatchObject({ running: 1, waiting: 2, slotsUsed: 1 });
    const started = runToEnd(engine).flatMap(([id, { type }]) => (type === "started" ? id : []));
    expect(started).toEqual(ids.slice(1));
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, slotsUsed: 0 });
  });

  test("refuses what comes beyond its bound, and says when to try again", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 }, { maxWaiting: 2 });
    submit([0]);
    submit([1]);
    submit([2]);
    expect(() => submit([3])).toThrow(
      expect.objectContaining({ constructor: RequestError, status: 429, code: "queue_full", retryAfterMs: 1000 }),
    );
    runToEnd(engine);
    submit([4]);
  });

  test("counts all answers that a request will ask for, and lets the later ones in", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 }, { maxWaiting: 3 });
    submit([1]);
    expect(() => submit([2], { answerCount: 4 })).toThrow("waiting already");
    submit([2], { answerCount: 3 });
    expect(() => submit([3])).toThrow("waiting already");
    submit([2], { isFollowUp: true });
    submit([2], { isFollowUp: true });
    expect(engine.stats().waiting).toBe(4);
  });

  test("takes whatever fits a slot when nothing else is there", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 }, { maxWaiting: 1 });
    submit([1], { answerCount: 8 });
    expect(runToEnd(engine).at(-1)?.[1]).toMatchObject({ type: "finished" });
    expect(() => makeEngine({ slotCount: 1 }, { maxWaiting: 0 }).submit([1], { answerCount: 2 })).toThrow("the queue is for 0");
  });

  test("tells the refused to come back when what waits has had its time", () => {
    onTestFinished(() => void vi.useRealTimers());
    vi.useFakeTimers({ toFake: ["hrtime"] });
    const { engine, model, submit } = makeEngine({ slotCount: 2 }, { maxWaiting: 3 });
    model.onStep = () => void vi.advanceTimersByTime(1000);
    submit([1], { maxTokens: 6 });
    runToEnd(engine); // takes 6 s
    for (const content of [1, 2, 3, 4, 5]) submit([content]);
    step(engine); // two run, three wait: two rounds of 6 s
    expect(() => submit([6])).toThrow(expect.objectContaining({ status: 429, retryAfterMs: 12_000 }));
  });

  test.each([
    ["after their mean time", 1, 48_600],
    ["after a minute at most", 9, 60_000],
  ])("does not forget long answers over a short one when it tells the refused to come back %s", (_, maxWaiting, retryAfterMs) => {
    onTestFinished(() => void vi.useRealTimers());
    vi.useFakeTimers({ toFake: ["hrtime"] });
    const { engine, model, submit } = makeEngine({ slotCount: 1 }, { maxWaiting });
    model.onStep = () => void vi.advanceTimersByTime(1000);
    for (const maxTokens of [20, 20, 20, 1]) {
      submit([maxTokens], { maxTokens });
      runToEnd(engine); // takes a second for each token
    }
    for (let i = 0; i <= maxWaiting; i++) submit([i]);
    expect(() => submit([100])).toThrow(expect.objectContaining({ status: 429, retryAfterMs: expect.closeTo(retryAfterMs) }));
  });

  test("refuses a prompt that leaves no room for an answer", () => {
    const { engine, submit } = makeEngine({ slotCapacity: 4 });
    submit([1, 2, 3]);
    expect(() => submit([1, 2, 3, 4])).toThrow(
      expect.objectContaining({ constructor: RequestError, status: 400, code: "context_length_exceeded", param: "messages" }),
    );
    expect(engine.stats().waiting).toBe(1);
  });
});

describe("an abort", () => {
  test("of a waiting request removes it", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 });
    submit([1]);
    const waiting = submit([2]);
    step(engine);
    engine.abort(waiting);
    expect(eventsOf(runToEnd(engine), waiting)).toEqual([]);
  });

  test("between two prefill chunks gives the slot back and keeps what was computed", () => {
    const { engine, submit } = makeEngine({ slotCount: 1 }, { prefillChunkTokens: 2 });
    const first = submit([1, 2, 3, 4, 5]);
    step(engine);
    step(engine);
    engine.abort(first);
    expect(engine.stats()).toMatchObject({ running: 0, slotsUsed: 0 });
    const second = submit([1, 2, 3, 4, 5]);
    const events = runToEnd(engine);
    expect(eventsOf(events, first)).toEqual([]);
    expect(eventsOf(events, second)[0]).toMatchObject({ type: "started", cachedTokens: 4 });
  });

  test.each(["prefill", "decode"])("in the middle of a %s step ends without an event", (type) => {
    const { engine, model, submit } = makeEngine();
    const [aborted, other] = [submit([1, 2], { maxTokens: 5 }), submit([3, 4], { maxTokens: 5 })];
    model.onStep = (batch) => {
      if (batch.type === type) engine.abort(aborted);
    };
    const events = runToEnd(engine);
    expect(eventsOf(events, aborted).some(({ type }) => type === "finished")).toBe(false);
    expect(eventsOf(events, other).at(-1)).toEqual({ type: "finished", reason: "length" });
    expect(engine.stats().slotsUsed).toBe(0);
  });

  test("during a step takes back the events of that step", () => {
    const { engine, model, submit } = makeEngine();
    const id = submit([1]);
    model.onStep = () => engine.abort(id);
    expect(engine.step()).toEqual([]);
  });

  test("of an unknown or ended request does nothing", () => {
    const { engine, submit } = makeEngine();
    const id = submit([1], { maxTokens: 1 });
    runToEnd(engine);
    engine.abort(id);
    engine.abort(99 as SequenceId);
    expect(step(engine)).toEqual([]);
  });
});
