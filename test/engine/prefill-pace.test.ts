import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PrefillPace } from "../../src/engine/prefill-pace.ts";
import { count, makeEngine, runToEnd } from "./make-engine.ts";

describe("the pace of prompts", () => {
  test("is the shortest chunk until a step has been timed, and the longest where that takes less than the target", () => {
    const pace = new PrefillPace(512, 1000);
    expect(pace.tokens).toBe(64);
    pace.record(64, 900 / 8);
    expect(pace.tokens).toBe(512);
  });

  test("is as many whole tiles as fit into the target, at least one", () => {
    const pace = new PrefillPace(512, 1000);
    pace.record(512, 4000);
    expect(pace.tokens).toBe(128);
    for (let i = 0; i < 20; i++) pace.record(128, 20_000);
    expect(pace.tokens).toBe(64);
    for (let i = 0; i < 20; i++) pace.record(64, 64);
    expect(pace.tokens).toBe(512);
  });

  test("does not follow the time of a few tokens", () => {
    const pace = new PrefillPace(512, 1000);
    pace.record(512, 500);
    pace.record(3, 3000);
    expect(pace.tokens).toBe(512);
  });

  test("never exceeds the longest chunk, even one shorter than a tile", () => {
    const pace = new PrefillPace(20, 1000);
    expect(pace.tokens).toBe(20);
    pace.record(20, 5000);
    expect(pace.tokens).toBe(20);
  });

  test("stays the longest chunk without a target", () => {
    const pace = new PrefillPace(512, Infinity);
    expect(pace.tokens).toBe(512);
    pace.record(512, 1e6);
    expect(pace.tokens).toBe(512);
  });
});

describe("an engine on a slow machine", () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ["performance"] }));
  afterEach(() => vi.useRealTimers());

  test("computes shorter chunks, and less of a picture in a step", () => {
    const { engine, model, submit } = makeEngine({ slotCapacity: 1000 }, { prefillTargetMs: 1000 });
    const wanted: number[] = [];
    model.onStep = (batch) => {
      if (batch.type === "encode") wanted.push(batch.maxTokens);
      if (batch.type === "prefill") vi.advanceTimersByTime(5 * batch.entry.tokenIds.length);
    };
    submit(count(0, 800), { maxTokens: 1 });
    runToEnd(engine);
    submit([801, "cat"], { maxTokens: 1 });
    runToEnd(engine);
    expect(model.log.slice(0, 5)).toEqual([
      "prefill 0[0..64)",
      "prefill 0[64..256)",
      "prefill 0[256..448)",
      "prefill 0[448..640)",
      "prefill 0[640..800)",
    ]);
    expect(wanted).toEqual([192]);
  });
});
