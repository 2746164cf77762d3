import { describe, expect, test } from "vitest";
import { entriesOf } from "../../src/core/batch.ts";
import { DeviceLostError } from "../../src/core/errors.ts";
import { answerAlone, makeRequest } from "./fake-model.ts";
import { count, eventsOf, makeEngine, runToEnd, step, tokensOf } from "./make-engine.ts";

describe("a failure", () => {
  test("of a step ends its own sequences only", () => {
    const { engine, model, submit } = makeEngine();
    const [failing, other] = [submit([1, 2]), submit([3, 4])];
    model.failNext = "step";
    const events = runToEnd(engine);
    expect(eventsOf(events, failing)).toEqual([
      expect.objectContaining({ type: "started", cachedTokens: 0 }),
      { type: "failed", message: "the device is on fire" },
    ]);
    expect(eventsOf(events, other).at(-1)).toEqual({ type: "finished", reason: "length" });
  });

  test("of a step leaves nothing to reuse in its slots", () => {
    const { engine, model, submit } = makeEngine({ slotCount: 1 }, { prefillChunkTokens: 2 });
    submit([1, 2, 3, 4]);
    step(engine);
    model.failNext = "step";
    step(engine);
    const second = submit([1, 2, 3, 4]);
    expect(eventsOf(runToEnd(engine), second)[0]).toMatchObject({ type: "started", cachedTokens: 0 });
  });

  test("of a step of several sequences leaves nothing to reuse of any", () => {
    const { engine, model, submit } = makeEngine();
    const prompts = [count(1, 40), count(100, 40)];
    for (const prompt of prompts) submit(prompt, { maxTokens: 9 });
    while (model.log.at(-1) !== "decode 0 1") step(engine);
    model.failNext = "step";
    step(engine);
    const again = prompts.map((prompt) => submit(prompt, { maxTokens: 1 }));
    const events = runToEnd(engine);
    for (const id of again) expect(eventsOf(events, id)[0]).toMatchObject({ type: "started", cachedTokens: 0 });
  });

  test("of an exchange of slots ends the sequence that was moved, and the rest decodes in the same step", () => {
    const { engine, model, submit } = makeEngine();
    const ids = [submit([1], { maxTokens: 3 }), submit([2], { maxTokens: 9 }), submit([3], { maxTokens: 9 })];
    model.failNext = "move"; // the third is to take the place of the first
    const events = runToEnd(engine);
    expect(ids.map((id) => eventsOf(events, id).at(-1))).toEqual([
      { type: "finished", reason: "length" },
      { type: "finished", reason: "length" },
      { type: "failed", message: "KV slots 2 and 0 could not be moved: the copy engine is on fire" },
    ]);
    expect(model.log.filter((line) => line.startsWith("swap"))).toEqual(["swap 2 0", "swap 1 0"]);
    const tokens = eventsOf(events, ids[1]!).flatMap((event) => (event.type === "token" ? event.tokenId : []));
    expect(tokens).toEqual(answerAlone(makeRequest([2], { maxTokens: 9 }), model.slotCapacity));
  });

  test("of a copy ends the new sequence and the one it copied from", () => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 100 });
    const first = submit(count(1, 50), { maxTokens: 9 });
    step(engine);
    const second = submit(count(1, 60));
    model.failNext = "move";
    const events = runToEnd(engine);
    const message = "KV slots 0 and 1 could not be moved: the copy engine is on fire";
    expect(events).toEqual([
      [second, { type: "failed", message }],
      [first, { type: "failed", message }],
    ]);
  });

  test("is followed by one token in an empty slot, to see whether anything can be computed", () => {
    const { engine, model, submit } = makeEngine({ slotCount: 2 });
    submit([1, 2], { maxTokens: 3 });
    runToEnd(engine);
    submit([3, 4, 5]);
    submit([1, 2], { maxTokens: 3 });
    model.failNext = "step";
    step(engine);
    expect(model.log.slice(-2)).toEqual(["prefill 1[0..3)", "prefill 1[0..1)"]);
    expect(runToEnd(engine).at(-1)?.[1]).toMatchObject({ type: "finished" });
  });

  test("is followed by one token whose slot is forgotten, if the step was for a picture and no slot is empty", () => {
    const { engine, model, submit } = makeEngine({ slotCount: 2 }, { prefillChunkTokens: 2 });
    submit([9]);
    submit([1, 2, 3]);
    runToEnd(engine);
    submit([4, 5, "cat"]); // in the slot of the first
    model.onStep = ({ type }) => {
      if (type === "encode") model.failNext = "step";
    };
    runToEnd(engine);
    expect(model.log.slice(-2)).toEqual(["encode cat", "prefill 1[0..1)"]);
    const again = submit([1, 2, 3, 7]);
    expect(tokensOf(eventsOf(runToEnd(engine), again))).toEqual(answerAlone(makeRequest([1, 2, 3, 7]), model.slotCapacity));
  });

  test("of three such tokens in a row is the end of the engine", () => {
    const { engine, model, submit } = makeEngine();
    model.step = () => {
      throw new Error("no memory");
    };
    const ids = [1, 2, 3].map((content) => submit([content, content]));
    expect(eventsOf(step(engine), ids[0]!).at(-1)).toEqual({ type: "failed", message: "no memory" });
    step(engine);
    expect(() => step(engine)).toThrow(DeviceLostError);
  });

  test("of two such tokens is forgotten once a step succeeds", () => {
    const { engine, model, submit } = makeEngine();
    const compute = model.step.bind(model);
    let failuresLeft = 0;
    model.step = (batch) => {
      if (failuresLeft-- > 0) throw new Error("no memory");
      return compute(batch);
    };
    for (let round = 0; round < 3; round++) {
      failuresLeft = 4; // two steps, and the token after each
      const [, , last] = [1, 2, 3].map((content) => submit([round, content], { maxTokens: 1 }));
      expect(eventsOf(runToEnd(engine), last!).at(-1)).toEqual({ type: "finished", reason: "length" });
    }
  });

  test("is a step that scores too few tokens of a prompt", () => {
    const { engine, model, submit } = makeEngine();
    const compute = model.step.bind(model);
    model.step = (batch) => {
      const { promptLogprobs, ...result } = compute(batch);
      return { ...result, ...(promptLogprobs && { promptLogprobs: promptLogprobs.slice(1) }) };
    };
    const scored = submit([1, 2, 3], { promptLogprobCount: 0 });
    expect(eventsOf(runToEnd(engine), scored).at(-1)).toMatchObject({ type: "failed" });
  });

  test.each(["resizeSlot", "copySlot", "swapSlots"] as const)("of the whole device in %s is the end of the engine at once", (name) => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 100 });
    model[name] = () => {
      throw new DeviceLostError("the GPU has failed");
    };
    submit(count(1, 50), { maxTokens: 2 });
    submit(count(1, 60), { maxTokens: 9 });
    expect(() => runToEnd(engine)).toThrow(DeviceLostError);
  });

  test("of steps that ask for too much is not, however many there are", () => {
    const { engine, model, submit } = makeEngine();
    const step = model.step.bind(model);
    model.step = (batch) => {
      if (entriesOf(batch).some(({ tokenIds }) => tokenIds.length > 1)) throw new Error("no memory");
      return step(batch);
    };
    for (let i = 0; i < 10; i++) submit([1, 2]);
    const small = submit([3], { maxTokens: 4 });
    expect(eventsOf(runToEnd(engine), small).at(-1)).toEqual({ type: "finished", reason: "length" });
  });

  test("of one row ends its own sequence, and the others of the batch get their tokens", () => {
    const { engine, model, submit } = makeEngine();
    const ids = [1, 2, 3].map((content) => submit([content], { maxTokens: 6 }));
    model.rowToFail = 1;
    model.onStep = (batch) => {
      if (entriesOf(batch).length === 3) model.failNext = "row";
    };
    const events = runToEnd(engine);
    expect(eventsOf(events, ids[1]!).at(-1)).toEqual({ type: "failed", message: "the logits are not finite" });
    for (const other of [0, 2]) {
      const tokens = eventsOf(events, ids[other]!).flatMap((event) => (event.type === "token" ? event.tokenId : []));
      expect(tokens).toEqual(answerAlone(makeRequest([other + 1], { maxTokens: 6 }), model.slotCapacity));
    }
    expect(engine.stats()).toMatchObject({ running: 0, slotsUsed: 0 });
  });

  test("of one row leaves nothing to reuse in its slot", () => {
    const { engine, model, submit } = makeEngine({ slotCount: 1 }, { prefillChunkTokens: 2 });
    submit([1, 2, 3, 4]);
    model.failNext = "row";
    runToEnd(engine);
    const second = submit([1, 2, 3, 4]);
    expect(eventsOf(runToEnd(engine), second)[0]).toMatchObject({ type: "started", cachedTokens: 0 });
  });

  test("of one row whose request is aborted in that step leaves nothing to reuse either", () => {
    const { engine, model, submit } = makeEngine({ slotCount: 1 }, { prefillChunkTokens: 2 });
    const first = submit([1, 2, 3, 4]);
    step(engine);
    model.onStep = () => engine.abort(first);
    model.failNext = "row";
    expect(step(engine)).toEqual([]);
    const second = submit([1, 2, 3, 4]);
    expect(eventsOf(runToEnd(engine), second)[0]).toMatchObject({ type: "started", cachedTokens: 0 });
  });

  test("is what a result without a token for each entry is", () => {
    const { engine, model, submit } = makeEngine();
    const id = submit([1]);
    model.step = () => ({ tokenIds: [undefined] });
    expect(eventsOf(runToEnd(engine), id).at(-1)).toMatchObject({ type: "failed" });
  });
});
