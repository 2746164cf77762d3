// Random traffic of several clients with few slots, aborts at any moment, masks that are late and a failing device: whatever happens, every answer is the one
// its request gets alone, everybody ends once, nobody waits for ever, no slot is lost, and nothing crosses from one client to another.

import { describe, expect, test } from "vitest";
import { maxScoredTokens, type KvPages } from "../../src/core/batch.ts";
import { RequestError } from "../../src/core/errors.ts";
import type { GenerationEvent } from "../../src/core/events.ts";
import type { TokenConstraint } from "../../src/core/token-constraint.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { EngineRequest, SequenceId } from "../../src/engine/engine-protocol.ts";
import { randomUnit } from "../../src/model/draw-token.ts";
import { answerAlone, endToken, FakeModel, makeRequest, scoresAlone } from "./fake-model.ts";

type Content = readonly (number | string)[];

type Client = {
  readonly content: Content;
  readonly request: EngineRequest;
  readonly tokens: number[];
  /** Of the prompt, as far as told. */
  readonly scores: number[];
  cachedTokens: number | undefined;
  readonly constraint: AnyToken | undefined;
  /** Was told that its answer is long enough. */
  hasEnough: boolean;
  end: Exclude<GenerationEvent["type"], "started" | "prompt-logprobs" | "token"> | "aborted" | undefined;
  reason: string;
};

const clientIds = [undefined, "ann", "bob", "eve"];
const faults = ["resize", "step", "move", "row"] as const;

/** Allows every token, but its masks are late. */
class AnyToken implements TokenConstraint {
  readonly #isLate: () => boolean;
  readonly accepted: number[] = [];
  closeCount = 0;
  lateCount = 0;

  constructor(isLate: () => boolean) {
    this.#isLate = isLate;
  }

  mask(): Uint32Array | undefined {
    if (!this.#isLate()) return new Uint32Array(2).fill(0xffff_ffff);
    this.lateCount++;
    return undefined;
  }

  accept(tokenId: number): void {
    check(this.closeCount === 0, "no token comes after the end");
    this.accepted.push(tokenId);
  }

  close(): void {
    this.closeCount++;
  }
}

class Simulation {
  readonly model: FakeModel;
  readonly clients = new Map<SequenceId, Client>();
  refusedCount = 0;
  readonly #engine: Engine;
  readonly #random: (below: number) => number;
  readonly #isFaulty: boolean;
  #submittedCount = 0;
  /** Prompts with answers, which later prompts continue: their own client's, and others'. */
  readonly #conversations: Content[] = [[1, 2, 3], [4, "cat", 5, "dog"], Array.from({ length: 40 }, (_, i) => i)];

  constructor(seed: number) {
    let drawCount = 0;
    this.#random = (below) => Math.floor(randomUnit(seed, drawCount++) * below);
    this.#isFaulty = seed % 2 === 0;
    const [slotCount, slotCapacity] = [1 + this.#random(5), 30 + this.#random(60)];
    const pages = this.#random(3) > 0 ? { pages: this.#scarcePages(slotCapacity) } : {};
    const [spareSlotCount, decodesOneAnywhere] = [Math.max(0, this.#random(8) - 3), this.#random(2) === 0];
    const encodeSteps = 1 + this.#random(3);
    this.model = new FakeModel({ slotCount, spareSlotCount, decodesOneAnywhere, slotCapacity, encodeSteps, ...pages });
    this.#engine = new Engine(this.model, {
      prefillChunkTokens: 1 + this.#random(30),
      maxWaiting: 1 + this.#random(6),
      headroomTokens: this.#random(4),
    });
    this.model.onStep = () => {
      if (this.#random(15) === 0) this.#abortSomebody();
    };
  }

  run(): void {
    for (let i = 0; i < 25; i++) {
      while (this.#random(3) === 0) this.#arrive();
      if (this.#random(10) === 0) this.#abortSomebody();
      if (this.#random(10) === 0) this.#finishSomebody();
      if (this.#isFaulty && this.#random(6) === 0) this.#injectFault();
      this.#step();
    }
    for (let i = 0; this.#engine.hasWork(); i++) {
      check(i < 2000, "all answers end");
      this.#step();
    }
    const { running, waiting, slotsUsed, kvCacheUsage } = this.#engine.stats();
    check(running === 0 && waiting === 0 && slotsUsed === 0 && kvCacheUsage === 0, "nothing is left");
    for (const client of this.clients.values()) this.#checkAnswer(client);
  }

  /** What one slot takes, or a little more. */
  #scarcePages(slotCapacity: number): KvPages {
    const tokens = 1 + this.#random(this.#random(2) === 0 ? 6 : slotCapacity);
    return { tokens, count: Math.ceil(slotCapacity / tokens) + this.#random(3) };
  }

  #injectFault(): void {
    this.model.failNext = faults[this.#random(faults.length)];
    this.model.rowToFail = this.#random(5);
  }

  get preemptions(): number {
    return this.#engine.stats().preemptions;
  }

  #arrive(): void {
    const known = this.#conversations[this.#random(this.#conversations.length)]!;
    const news = Array.from({ length: 1 + this.#random(6) }, () =>
      this.#random(8) === 0 ? ["cat", "cow", "film of a cat", "film of a cow"][this.#random(4)]! : this.#random(40),
    );
    const clientId = clientIds[this.#random(clientIds.length)];
    const content = [...known.slice(0, known.length - this.#random(3)), ...news];
    const isBurst = this.#random(8) === 0; // of prompts with a long beginning that is new: one computes it, the others wait for theirs
    if (isBurst) content.unshift(...Array.from({ length: 40 }, (_, i) => this.#submittedCount + i));
    for (let i = isBurst ? 1 + this.#random(3) : 0; i > 0; i--) this.#submitFor(clientId, [...content, ...Array(this.#random(9)).fill(i)]);
    this.#submitFor(clientId, content);
  }

  #submitFor(clientId: string | undefined, content: Content): void {
    this.#submit(content, {
      maxTokens: 1 + this.#random(12),
      stopTokenIds: this.#random(2) === 0 ? [endToken] : [],
      answerCount: this.#random(5) === 0 ? 3 : 1,
      ...(this.#random(6) === 0 && { promptLogprobCount: 0 }),
      ...(clientId !== undefined && { clientId, cacheSalt: clientId }),
    });
  }

  #submit(content: Content, options: Partial<EngineRequest>): void {
    const request = makeRequest(content, options);
    const id = this.#submittedCount++ as SequenceId;
    const constraint = this.#random(4) === 0 ? new AnyToken(() => this.#random(3) === 0) : undefined;
    const untold = { tokens: [], scores: [], cachedTokens: undefined, hasEnough: false, end: undefined, reason: "" };
    try {
      this.#engine.submit(id, request, constraint);
      this.clients.set(id, { content, request, constraint, ...untold });
    } catch (error) {
      check((constraint?.closeCount ?? 1) === 1, "the constraint of a refused request is closed");
      check(error instanceof RequestError && (error.code !== "queue_full" || !request.isFollowUp), `a request is refused: ${error}`);
      this.refusedCount++;
    }
  }

  /** Of all clients, also those that have ended. */
  #abortSomebody(): void {
    const entry = [...this.clients][this.#random(this.clients.size)];
    if (!entry || entry[1].end) return;
    this.#engine.abort(entry[0]);
    entry[1].end = "aborted";
  }

  #finishSomebody(): void {
    const entry = [...this.clients][this.#random(this.clients.size)];
    if (!entry || entry[1].tokens.length === 0) return;
    this.#engine.finish(entry[0]);
    entry[1].hasEnough = true;
  }

  #step(): void {
    const events = this.#engine.step();
    this.#engine.checkIntegrity();
    for (const [id, event] of events) this.#take(this.clients.get(id)!, event);
  }

  #take(client: Client, event: GenerationEvent): void {
    const { content, request, tokens } = client;
    check(!client.end, `no event after the end: ${event.type}`);
    check((client.cachedTokens === undefined) === (event.type === "started") || event.type === "failed", "an answer starts once");
    if (event.type === "started") {
      check(event.cachedTokens <= this.#known(client), "what is cached was computed for the same client");
      client.cachedTokens = event.cachedTokens;
    } else if (event.type === "prompt-logprobs") {
      check(tokens.length === 0, "a prompt is scored before the answer");
      client.scores.push(...event.logprobs.map(({ logprob }) => logprob));
    } else if (event.type === "token") {
      tokens.push(event.tokenId);
      const others = tokens.length === 1 ? request.answerCount! - 1 : 0;
      for (let i = 0; i < others; i++) this.#submit(content, { ...request, answerCount: 1, isFollowUp: true });
    } else {
      client.end = event.type;
      client.reason = event.type === "failed" ? event.message : event.reason;
      if (event.type === "finished") this.#conversations.push([...content, ...tokens]);
    }
  }

  /** The most tokens of a prompt that sequences with the same salt can have left in a slot, this one's own not counted. */
  #known(client: Client): number {
    const wanted = spread(client.content);
    const others = [...this.clients.values()].filter((other) => other !== client && other.request.cacheSalt === client.request.cacheSalt);
    const shared = others.map(({ content, tokens }) => {
      const had = [...spread(content), ...tokens];
      const end = wanted.findIndex((item, i) => item !== had[i]);
      return end < 0 ? wanted.length : end;
    });
    return Math.max(0, ...shared);
  }

  #checkAnswer({ request, tokens, scores, constraint, hasEnough, end, reason }: Client): void {
    const known = request.promptLogprobCount !== undefined ? scoresAlone(request) : [];
    check(
      scores.every((score, i) => score === known[i]),
      `the scores ${scores} are those of the prompt alone: ${known}`,
    );
    check(scores.length === known.length || tokens.length === 0, "the whole prompt is scored before the answer");
    const alone = answerAlone(request, this.model.slotCapacity);
    const isWhole = tokens.length === alone.length;
    check(
      tokens.every((tokenId, i) => tokenId === alone[i]),
      `the tokens ${tokens} are those of the request alone: ${alone}`,
    );
    check(end !== undefined, "an answer ends");
    if (constraint) {
      check(constraint.closeCount === 1, "a constraint is closed once");
      const { accepted } = constraint;
      check(
        accepted.every((tokenId, i) => tokenId === tokens[i]) && accepted.length >= tokens.length - 1,
        "a constraint is told of every token but the last",
      );
    }
    if (end === "finished" && !hasEnough)
      check(isWhole && reason === (request.stopTokenIds.includes(alone.at(-1)!) ? "stop" : "length"), "it is whole");
    if (end === "failed") check(/on fire|not finite/.test(reason), `it fails for a reason of the device, not ${reason}`);
  }
}

/** A picture's tokens apart, as text and pictures are compared. */
function spread(content: Content): (number | string)[] {
  return content.flatMap<number | string>((part) => (typeof part === "string" ? [0, 1, 2].map((i) => `${part} ${i}`) : part));
}

// Millions of checks: `expect` would take most of the time.
function check(condition: boolean, promise: string): void {
  if (!condition) throw new Error(`broken promise: ${promise}`);
}

const scenariosPerBlock = 1200;

describe("random traffic", () => {
  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])("ends well in 1,200 scenarios (%s)", (block) => {
    const ends = {
      finished: 0,
      failed: 0,
      aborted: 0,
      refused: 0,
      reused: 0,
      scored: 0,
      followUps: 0,
      late: 0,
      cut: 0,
      fire: 0,
      row: 0,
      swap: 0,
      copy: 0,
      encode: 0,
      resize: 0,
      preempted: 0,
    };
    for (let seed = block * scenariosPerBlock; seed < (block + 1) * scenariosPerBlock; seed++) {
      const simulation = new Simulation(seed);
      try {
        simulation.run();
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
      for (const { end, cachedTokens = 0, scores, request, reason, constraint, hasEnough } of simulation.clients.values()) {
        if ((constraint?.lateCount ?? 0) > 0) ends.late++;
        if (end === "finished" && hasEnough) ends.cut++;
        ends[end!]++;
        if (cachedTokens > 0) ends.reused++;
        if (scores.length > maxScoredTokens) ends.scored++;
        if (request.isFollowUp) ends.followUps++;
        if (reason.includes("on fire")) ends.fire++;
        if (reason.includes("not finite")) ends.row++;
      }
      ends.refused += simulation.refusedCount;
      ends.preempted += simulation.preemptions;
      for (const line of simulation.model.log) {
        for (const action of ["swap", "copy", "encode", "resize"] as const) if (line.startsWith(action)) ends[action]++;
      }
    }
    // The scenarios are worth nothing when something never happens in them.
    for (const [what, count] of Object.entries(ends)) expect(count, what).toBeGreaterThan(100);
  });
});

describe("a client that sends all it can", () => {
  test.each(Array.from({ length: 100 }, (_, seed) => seed))("does not keep others waiting (%s)", (seed) => {
    let drawCount = 0;
    const random = (below: number): number => Math.floor(randomUnit(seed, drawCount++) * below);
    const slotCount = 1 + random(4);
    const engine = new Engine(new FakeModel({ slotCount }), { prefillChunkTokens: 5, maxWaiting: 60 });
    let count = 0;
    const submit = (clientId: string): SequenceId => {
      const content = Array.from({ length: 1 + random(20) }, () => random(40));
      engine.submit(count as SequenceId, makeRequest(content, { clientId, maxTokens: 1 + random(12) }));
      return count++ as SequenceId;
    };
    const longestRun = 2 * slotCount * (20 / 5 + 12); // every other step is of its kind, and others run beside it
    const arrivals = new Map<SequenceId, number>();
    for (let i = 0; i < 1500; i++) {
      while (engine.stats().waiting < 50) submit("flood");
      if (i % 300 === 100) for (const clientId of ["ann", "bob"]) arrivals.set(submit(clientId), i);
      for (const [id, { type }] of engine.step()) {
        const arrival = type === "started" ? arrivals.get(id) : undefined;
        if (arrival === undefined) continue;
        expect(i - arrival, "steps waited").toBeLessThanOrEqual(2 * longestRun);
        arrivals.delete(id);
      }
    }
    expect(arrivals.size).toBe(0);
  });
});
