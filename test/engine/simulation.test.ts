// Random traffic with few slots, aborts at any moment and a failing device: whatever happens, every answer is the one its request
// gets alone, everybody ends once, and no slot is lost.

import { describe, expect, test } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import type { GenerationEvent } from "../../src/core/events.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { EngineRequest, SequenceId } from "../../src/engine/engine-protocol.ts";
import { randomUnit } from "../../src/model/draw-token.ts";
import { answerAlone, endToken, FakeModel, makeRequest } from "./fake-model.ts";

type Content = readonly (number | string)[];

type Client = {
  readonly content: Content;
  readonly request: EngineRequest;
  readonly events: GenerationEvent[];
  isAborted: boolean;
};

class Simulation {
  readonly model: FakeModel;
  readonly clients = new Map<SequenceId, Client>();
  refusedCount = 0;
  readonly #engine: Engine;
  readonly #random: (below: number) => number;
  readonly #isFaulty: boolean;
  /** Prompts with answers, which later prompts continue. */
  readonly #conversations: Content[] = [[1, 2, 3], [4, "cat", 5, "dog"], Array.from({ length: 40 }, (_, i) => i)];

  constructor(seed: number) {
    let drawCount = 0;
    this.#random = (below) => Math.floor(randomUnit(seed, drawCount++) * below);
    this.#isFaulty = seed % 2 === 0;
    this.model = new FakeModel({ slotCount: 1 + this.#random(5), slotCapacity: 30 + this.#random(90) });
    this.#engine = new Engine(this.model, { prefillChunkTokens: 1 + this.#random(30), maxWaiting: 1 + this.#random(6) });
    this.model.onStep = () => {
      if (this.#random(15) === 0) this.#abortSomebody();
    };
  }

  run(): void {
    for (let i = 0; i < 60; i++) {
      while (this.#random(3) === 0) this.#arrive();
      if (this.#random(10) === 0) this.#abortSomebody();
      if (this.#isFaulty && this.#random(12) === 0) this.model.failNext = this.#random(2) === 0 ? "step" : "move";
      this.#step();
    }
    for (let i = 0; this.#engine.hasWork(); i++) {
      expect(i, "steps until the last answer ends").toBeLessThan(10_000);
      this.#step();
    }
    expect(this.#engine.stats()).toMatchObject({ running: 0, waiting: 0, slotsUsed: 0 });
  }

  #arrive(): void {
    const known = this.#conversations[this.#random(this.#conversations.length)]!;
    const news = Array.from({ length: 1 + this.#random(6) }, () =>
      this.#random(8) === 0 ? ["cat", "cow"][this.#random(2)]! : this.#random(40),
    );
    const content = [...known.slice(0, known.length - this.#random(3)), ...news];
    const options = { maxTokens: 1 + this.#random(12), stopTokenIds: this.#random(2) === 0 ? [endToken] : [] };
    const request = makeRequest(content, this.#random(6) === 0 ? { ...options, cacheSalt: "other" } : options);
    const id = (this.clients.size + this.refusedCount) as SequenceId;
    try {
      this.#engine.submit(id, request);
      this.clients.set(id, { content, request, events: [], isAborted: false });
    } catch (error) {
      expect(error).toBeInstanceOf(RequestError);
      this.refusedCount++;
    }
  }

  /** Of all clients, also those that have ended. */
  #abortSomebody(): void {
    const entry = [...this.clients][this.#random(this.clients.size)];
    if (!entry || hasEnded(entry[1])) return;
    this.#engine.abort(entry[0]);
    entry[1].isAborted = true;
  }

  #step(): void {
    const events = this.#engine.step();
    this.#engine.checkIntegrity();
    for (const [id, event] of events) {
      const client = this.clients.get(id)!;
      expect(client.isAborted, "an event after the abort").toBe(false);
      expect(hasEnded(client), "an event after the end").toBe(false);
      client.events.push(event);
      if (event.type === "finished") this.#conversations.push([...client.content, ...tokensOf(client)]);
    }
  }
}

function hasEnded({ isAborted, events }: Client): boolean {
  return isAborted || ["finished", "failed"].includes(events.at(-1)?.type ?? "");
}

function tokensOf({ events }: Client): number[] {
  return events.flatMap((event) => (event.type === "token" ? event.tokenId : []));
}

function checkClient(client: Client, slotCapacity: number): void {
  const { request, events, isAborted } = client;
  const alone = answerAlone(request, slotCapacity);
  const tokens = tokensOf(client);
  const last = events.at(-1);
  if (last?.type === "finished") {
    expect(tokens).toEqual(alone);
    expect(last.reason).toBe(request.stopTokenIds.includes(alone.at(-1)!) ? "stop" : "length");
  } else {
    expect(isAborted || last?.type === "failed", "an answer without an end").toBe(true);
    expect(tokens).toEqual(alone.slice(0, tokens.length));
    if (last?.type === "failed") expect(last.message).toMatch(/on fire/);
  }
  const isStarted = tokens.length > 0 || last?.type === "finished";
  if (isStarted) expect(events[0]?.type).toBe("started");
}

describe("random traffic", () => {
  test.each([0, 1, 2, 3])("ends well in a hundred scenarios (%s)", (block) => {
    const log: string[] = [];
    const ends = { finished: 0, failed: 0, aborted: 0, refused: 0, reused: 0 };
    for (let seed = block * 100; seed < block * 100 + 100; seed++) {
      const simulation = new Simulation(seed);
      simulation.run();
      for (const client of simulation.clients.values()) {
        checkClient(client, simulation.model.slotCapacity);
        const last = client.events.at(-1)?.type;
        ends[client.isAborted ? "aborted" : last === "failed" ? "failed" : "finished"]++;
        if (client.events.some((event) => event.type === "started" && event.cachedTokens > 0)) ends.reused++;
      }
      ends.refused += simulation.refusedCount;
      log.push(...simulation.model.log);
    }
    // The scenarios are worth nothing when something never happens in them.
    for (const count of Object.values(ends)) expect(count).toBeGreaterThan(20);
    for (const action of ["swap", "copy"]) expect(log.filter((line) => line.startsWith(action)).length).toBeGreaterThan(20);
  });
});
