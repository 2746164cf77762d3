// Engines on the fake model, and what their tests ask of events.

import type { GenerationEvent } from "../../src/core/events.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { EngineRequest, SequenceEvent, SequenceId } from "../../src/engine/engine-protocol.ts";
import type { SchedulerOptions } from "../../src/engine/scheduler.ts";
import { FakeModel, type FakeModelOptions, makeRequest } from "./fake-model.ts";

/** An engine whose requests are numbered as they come. Its chunks do not depend on how long steps take, unless the options say so. */
export function makeEngine(modelOptions: FakeModelOptions = {}, options: Partial<SchedulerOptions> = {}) {
  const model = new FakeModel(modelOptions);
  const engine = new Engine(model, { prefillTargetMs: Infinity, ...options });
  let count = 0;
  const submit = (content: readonly (number | string)[], options?: Partial<EngineRequest>): SequenceId => {
    const id = count++ as SequenceId;
    engine.submit(id, makeRequest(content, options));
    return id;
  };
  return { engine, model, submit };
}

export function step(engine: Engine): SequenceEvent[] {
  const events = engine.step();
  engine.checkIntegrity();
  return events;
}

export function runToEnd(engine: Engine): SequenceEvent[] {
  const events: SequenceEvent[] = [];
  while (engine.hasWork()) events.push(...step(engine));
  return events;
}

export function eventsOf(events: readonly SequenceEvent[], id: SequenceId): GenerationEvent[] {
  return events.filter(([eventId]) => eventId === id).map(([, event]) => event);
}

export function tokensOf(events: readonly GenerationEvent[]): number[] {
  return events.flatMap((event) => (event.type === "token" ? event.tokenId : []));
}

export function count(from: number, length: number): number[] {
  return Array.from({ length }, (_, i) => from + i);
}
