// What the engine tells about its work.

import { describe, expect, test } from "vitest";
import { monotonicMs } from "../../src/core/clock.ts";
import type { SequenceEvent, SequenceId } from "../../src/engine/engine-protocol.ts";
import { makeRequest } from "./fake-model.ts";
import { makeEngine } from "./make-engine.ts";

describe("the report of a step", () => {
  test("tells its kind and how many tokens it computed, once", () => {
    const { engine, submit } = makeEngine({ encodeSteps: 2 }, { prefillChunkTokens: 4 });
    submit([1, "cat", 2, 3], { maxTokens: 2 });
    const steps: unknown[] = [];
    while (engine.hasWork()) {
      engine.step();
      const { kind, tokenCount, durationMs } = engine.takeStepReport()!;
      expect(durationMs).toBeGreaterThan(0);
      steps.push([kind, tokenCount]);
    }
    expect(steps).toEqual([
      ["encode", 0],
      ["encode", 3],
      ["prefill", 4],
      ["prefill", 2],
      ["decode", 1],
    ]);
    expect(engine.takeStepReport()).toBeUndefined();
  });

  test("counts a token for each sequence that decodes", () => {
    const { engine, submit } = makeEngine();
    for (const id of [1, 2, 3]) submit([id, id], { maxTokens: 5 });
    const counts: number[] = [];
    while (engine.hasWork()) {
      engine.step();
      const report = engine.takeStepReport()!;
      if (report.kind === "decode") counts.push(report.tokenCount);
    }
    expect(Math.max(...counts)).toBe(3);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3 * 4); // the first token of each comes of its prompt
  });

  test("is given for a step that failed, and for none where there was nothing to do", () => {
    const { engine, model, submit } = makeEngine();
    engine.step();
    expect(engine.takeStepReport()).toBeUndefined();
    submit([1, 2]);
    model.failNext = "step";
    engine.step();
    expect(engine.takeStepReport()).toMatchObject({ kind: "prefill", tokenCount: 2 });
  });
});

describe("time in the queue", () => {
  test("counts from when the request was sent to when it gets a slot", () => {
    const { engine } = makeEngine({ slotCount: 1 });
    const second = 1 as SequenceId;
    engine.submit(0 as SequenceId, makeRequest([1]), undefined, monotonicMs());
    engine.submit(second, makeRequest([2]), undefined, monotonicMs() - 60_000);
    const events: SequenceEvent[] = [];
    while (engine.hasWork()) events.push(...engine.step());
    const event = events.find(([id]) => id === second)?.[1];
    expect(event?.type === "started" && event.queuedMs).toBeGreaterThan(60_000);
    expect(event?.type === "started" && event.queuedMs).toBeLessThan(120_000);
  });
});
