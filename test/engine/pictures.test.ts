import { describe, expect, test } from "vitest";
import type { SequenceId } from "../../src/engine/engine-protocol.ts";
import { collectGarbage } from "../collect-garbage.ts";
import { makeRequest } from "./fake-model.ts";
import { count, eventsOf, makeEngine, runToEnd, step } from "./make-engine.ts";

describe("pictures", () => {
  test("are steps of their own, and running answers get a token between any two of them", () => {
    const { engine, model, submit } = makeEngine({}, { prefillChunkTokens: 8 });
    submit([1, 1], { maxTokens: 9 });
    step(engine);
    submit(["cat", "cow", 2, "dog", 3, 4], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log).toEqual([
      "prefill 0[0..2)",
      "decode 0",
      "encode cat",
      "decode 0",
      "encode cow",
      "decode 0",
      "encode dog", // begins within the first chunk
      "decode 0",
      "prefill 1[0..8)",
      "decode 0",
      "prefill 1[8..12)",
      "decode 0",
      "decode 0",
      "decode 0",
    ]);
  });

  test("that take several steps are computed between decode steps, two prompts' in turns", () => {
    const { engine, model, submit } = makeEngine({ encodeSteps: 3 }, { prefillChunkTokens: 8 });
    submit([1], { maxTokens: 20 });
    step(engine);
    submit(["cat", 1], { maxTokens: 1 });
    submit(["dog"], { maxTokens: 1 });
    runToEnd(engine);
    const log = model.log.filter((line) => !line.startsWith("swap"));
    expect(log.filter((_, i) => i % 2 === 0).every((line) => line.startsWith("decode"))).toBe(true);
    expect(log.filter((line) => !line.startsWith("decode"))).toEqual([
      "encode dog", // the shortest
      "encode cat", // the oldest
      "encode dog",
      "encode cat",
      "encode dog",
      "encode cat",
      "prefill 2[0..3)",
      "prefill 1[0..4)",
    ]);
  });

  test("that are half done when a step fails or their request leaves are not counted as done", () => {
    const { engine, model, submit } = makeEngine({ encodeSteps: 3 });
    const leaving = submit(["cat"]);
    step(engine);
    engine.abort(leaving);
    const failing = submit(["cat"]);
    model.failNext = "step";
    expect(eventsOf(runToEnd(engine), failing).at(-1)).toMatchObject({ type: "failed" });
    submit(["cat"], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log).toEqual(["encode cat", "encode cat", "prefill 0[0..1)", "encode cat", "encode cat", "encode cat", "prefill 0[0..3)"]);
  });

  test("of a film are a step for each piece, when the prefill comes to it, and running answers and other prompts have their turns between", () => {
    const { engine, model, submit } = makeEngine({}, { prefillChunkTokens: 2 });
    submit([1, 1], { maxTokens: 9 });
    step(engine);
    submit(["film", 2], { maxTokens: 1 });
    submit([3, 3], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log.filter((line) => !/^swap|^decode/.test(line))).toEqual([
      "prefill 0[0..2)",
      "prefill 2[0..2)", // the shortest
      "encode film frames 0 to 1",
      "encode film frames 2 to 3",
      "prefill 1[0..2)",
      "encode film frames 4 to 5",
      "prefill 1[2..4)",
    ]);
  });

  test("of a film that is larger than all that is kept are encoded again piece by piece at most, whatever others need between", () => {
    const { engine, model, submit } = makeEngine({ keptImages: 1, slotCount: 2 }, { prefillChunkTokens: 1 });
    submit(["film", ...count(0, 20)], { maxTokens: 1 });
    for (const picture of ["cat", "cow", "dog", "hen", "owl", "fox"]) submit([picture], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log.filter((line) => line.startsWith("encode film"))).toHaveLength(3);
    const again = model.encodedInPrefill.filter((hash) => hash.startsWith("film"));
    expect(again.length).toBeGreaterThan(0);
    expect(new Set(again).size).toBe(again.length);
  });

  test("of a film that nobody wants any more are not kept", async () => {
    const { engine } = makeEngine();
    const pictures = (() => {
      const id = 0 as SequenceId;
      const request = makeRequest(["film", 2]);
      engine.submit(id, request);
      step(engine);
      engine.abort(id);
      return new WeakRef(request.prompt.spans[0]!.image.patches);
    })();
    await collectGarbage();
    expect(pictures.deref()).toBeUndefined();
  });

  test("are not kept while their answer is written, if they cannot be needed again", async () => {
    const { engine } = makeEngine();
    const patches = (() => {
      const request = makeRequest(["cat", 2], { maxTokens: 9 });
      engine.submit(0 as SequenceId, request);
      while (step(engine).every(([, { type }]) => type !== "token"));
      return new WeakRef(request.prompt.spans[0]!.image.patches);
    })();
    await collectGarbage();
    expect(patches.deref()).toBeUndefined();
    expect(runToEnd(engine).at(-1)?.[1]).toMatchObject({ type: "finished" });
  });

  test("are encoded when the prefill comes to them, not before", () => {
    const { engine, model, submit } = makeEngine({}, { prefillChunkTokens: 4 });
    submit(["cat", 1, 2, "dog"], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log).toEqual(["encode cat", "prefill 0[0..4)", "encode dog", "prefill 0[4..8)"]);
  });

  test("that the model knows take no step", () => {
    const { engine, model, submit } = makeEngine();
    submit(["cat", 1, "cat"], { maxTokens: 1 });
    submit([2, "cat"], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log).toEqual(["encode cat", "prefill 1[0..4)", "prefill 0[0..7)"]);
  });

  test("in a prefix that a slot holds take no step", () => {
    const { engine, model, submit } = makeEngine({ keptImages: 0 });
    submit(["cat", 1], { maxTokens: 1 });
    runToEnd(engine);
    submit(["cat", 1, 2, 3], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log).toEqual(["encode cat", "prefill 0[0..4)", "prefill 0[4..6)"]);
  });

  test("get one step each even where the model cannot keep them all until the prefill", () => {
    const { engine, model, submit } = makeEngine({ keptImages: 1 });
    submit(["cat", "cow", "dog"], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log).toEqual(["encode cat", "encode cow", "encode dog", "prefill 0[0..9)"]);
  });

  test("that cannot be encoded end their own sequence only, and cost its slot nothing", () => {
    const { engine, model, submit } = makeEngine({}, { prefillChunkTokens: 4 });
    const other = submit([8], { maxTokens: 3 });
    step(engine);
    const failing = submit([1, 2, 3, 4, "cat"]);
    model.onStep = ({ type }) => {
      if (type === "encode") model.failNext = "step";
    };
    const events = runToEnd(engine);
    expect(eventsOf(events, failing).at(-1)).toEqual({ type: "failed", message: "the device is on fire" });
    expect(eventsOf(events, other).at(-1)).toEqual({ type: "finished", reason: "length" });
    model.onStep = () => {};
    const again = submit([1, 2, 3, 4, "cat"]);
    expect(eventsOf(runToEnd(engine), again)[0]).toMatchObject({ type: "started", cachedTokens: 4 });
  });

  test("of a request that is aborted meanwhile lead to nothing", () => {
    const { engine, model, submit } = makeEngine();
    const id = submit(["cat"]);
    model.onStep = () => engine.abort(id);
    expect(runToEnd(engine)).toEqual([]);
    expect(model.log).toEqual(["encode cat"]);
    expect(engine.stats().slotsUsed).toBe(0);
  });
});
