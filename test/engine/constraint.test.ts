import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { EngineError } from "../../src/core/errors.ts";
import type { GenerationEvent } from "../../src/core/events.ts";
import type { ConstraintHandle, TokenConstraint } from "../../src/core/token-constraint.ts";
import { Engine } from "../../src/engine/engine.ts";
import { EngineClient } from "../../src/engine/engine-client.ts";
import { runEngineLoop } from "../../src/engine/engine-loop.ts";
import type { EngineRequest, SequenceId } from "../../src/engine/engine-protocol.ts";
import { answerAlone, endToken, FakeModel, makeRequest, scoresAlone } from "./fake-model.ts";
import { count, eventsOf, runToEnd, tokensOf } from "./make-engine.ts";

/** Demands one token after the other; the mask behind `failsAfter` of them does not come, the others when they were asked for `misses` times. */
class Script implements TokenConstraint {
  readonly accepted: number[] = [];
  closeCount = 0;
  readonly #tokenIds: readonly number[];
  readonly #failsAfter: number;
  readonly #misses: number;
  #askedCount = 0;

  constructor(tokenIds: readonly number[], { failsAfter = Infinity, misses = 0 } = {}) {
    this.#tokenIds = tokenIds;
    this.#failsAfter = failsAfter;
    this.#misses = misses;
  }

  mask(_patienceMs: number): Uint32Array | undefined {
    if (this.accepted.length >= this.#failsAfter) throw new EngineError("no mask came");
    if (this.#askedCount++ < this.#misses) return undefined;
    this.#askedCount = 0;
    const tokenId = this.#tokenIds[this.accepted.length]!;
    const mask = new Uint32Array(4);
    mask[tokenId >>> 5] = 1 << (tokenId & 31);
    return mask;
  }

  accept(tokenId: number): void {
    this.accepted.push(tokenId);
  }

  close(): void {
    this.closeCount++;
  }
}

const id = (number: number) => number as SequenceId;

describe("a constrained answer", () => {
  test("has the tokens that are allowed, and every one but the last is reported", () => {
    const engine = new Engine(new FakeModel());
    const script = new Script([70, 3, 99, 41, endToken]);
    engine.submit(id(0), makeRequest([1, 2, 3], { maxTokens: 10, stopTokenIds: [endToken] }), script);
    const events = eventsOf(runToEnd(engine), id(0));
    expect(tokensOf(events)).toEqual([70, 3, 99, 41, endToken]);
    expect(events.at(-1)).toEqual({ type: "finished", reason: "stop" });
    expect(script.accepted).toEqual([70, 3, 99, 41]);
  });

  test("leaves others as they are", () => {
    const engine = new Engine(new FakeModel());
    const free = makeRequest([4, 5], { maxTokens: 6 });
    engine.submit(id(0), makeRequest([1], { maxTokens: 4 }), new Script([70, 3, 99, 41]));
    engine.submit(id(1), free);
    expect(tokensOf(eventsOf(runToEnd(engine), id(1)))).toEqual(answerAlone(free, 64));
  });

  test.each([0, 1, 3])("fails alone when the mask behind %i tokens does not come", (failsAfter) => {
    const engine = new Engine(new FakeModel());
    const others = [makeRequest([4, 5], { maxTokens: 6 }), makeRequest([6], { maxTokens: 6 })];
    const script = new Script([70, 3, 99, 41], { failsAfter });
    engine.submit(id(0), others[0]!);
    engine.submit(id(1), makeRequest([1, 2, 3], { maxTokens: 4 }), script);
    engine.submit(id(2), others[1]!);
    const events = runToEnd(engine);
    expect(tokensOf(eventsOf(events, id(1)))).toEqual([70, 3, 99].slice(0, failsAfter));
    expect(eventsOf(events, id(1)).at(-1)).toEqual({ type: "failed", message: "no mask came" });
    expect(tokensOf(eventsOf(events, id(0)))).toEqual(answerAlone(others[0]!, 64));
    expect(tokensOf(eventsOf(events, id(2)))).toEqual(answerAlone(others[1]!, 64));
    expect(engine.stats()).toMatchObject({ running: 0, slotsUsed: 0 });
    expect(script.closeCount).toBe(1);
  });
});

describe("a mask that is late", () => {
  test("keeps nobody else waiting, and costs its answer nothing but time", () => {
    const model = new FakeModel();
    const engine = new Engine(model, { prefillChunkTokens: 8 });
    const free = makeRequest([4, 5], { maxTokens: 12 });
    const script = new Script([70, 3, 99, 41], { misses: 3 });
    engine.submit(id(0), free);
    engine.submit(id(1), makeRequest(["cat", 1, 2, 3], { maxTokens: 4 }), script);

    const events = runToEnd(engine);

    expect(tokensOf(eventsOf(events, id(0)))).toEqual(answerAlone(free, 64));
    expect(tokensOf(eventsOf(events, id(1)))).toEqual([70, 3, 99, 41]);
    expect(script.accepted).toEqual([70, 3, 99]);
    const order = events.filter(([, { type }]) => type === "token").map(([eventId]) => Number(eventId));
    expect(order.indexOf(1)).toBeGreaterThan(3); // the free answer went on before the first mask came
    expect(model.log.filter((line) => line.startsWith("prefill"))).toEqual([
      "prefill 0[0..2)",
      "prefill 1[0..6)", // its last token comes again with the decode steps
    ]);
  });

  test.each([
    ["that has nothing to do with it", count(50, 40)],
    ["that begins with its prompt", [...count(1, 40), 99]],
  ])("keeps no prompt waiting %s", (_, content) => {
    const engine = new Engine(new FakeModel(), { prefillChunkTokens: 8 });
    engine.submit(id(0), makeRequest(count(1, 40), { maxTokens: 4 }), new Script([70, 3, 99, 41], { misses: 100 }));
    engine.submit(id(1), makeRequest(content));
    const events = runToEnd(engine);

    expect(tokensOf(eventsOf(events, id(1)))).toEqual(answerAlone(makeRequest(content), 64));
    expect(tokensOf(eventsOf(events, id(0)))).toEqual([70, 3, 99, 41]);
    const order = events.filter(([, { type }]) => type === "token").map(([eventId]) => Number(eventId));
    expect(order).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
  });

  test("that never comes ends its own answer", () => {
    const engine = new Engine(new FakeModel());
    const free = makeRequest([4, 5], { maxTokens: 6 });
    const script = new Script([70]);
    let asked = 0;
    script.mask = () => {
      if (asked++ < 9) return undefined;
      throw new EngineError("no mask came");
    };
    engine.submit(id(0), free);
    engine.submit(id(1), makeRequest([1, 2, 3]), script);
    const events = runToEnd(engine);
    expect(eventsOf(events, id(1)).at(-1)).toEqual({ type: "failed", message: "no mask came" });
    expect(tokensOf(eventsOf(events, id(0)))).toEqual(answerAlone(free, 64));
    expect(script.closeCount).toBe(1);
  });

  test("does not tell the scores of the prompt twice", () => {
    const engine = new Engine(new FakeModel(), { prefillChunkTokens: 2 });
    const request = makeRequest([4, 5, 6, 7, 8], { maxTokens: 2, promptLogprobCount: 0 });
    engine.submit(id(0), request, new Script([70, 3], { misses: 2 }));
    const events = eventsOf(runToEnd(engine), id(0));
    const scores = events.flatMap((event) => (event.type === "prompt-logprobs" ? event.logprobs.map(({ logprob }) => logprob) : []));
    expect(scores).toEqual(scoresAlone(request));
    expect(tokensOf(events)).toEqual([70, 3]);
  });
});

test("an answer whose grammar allows no token fails alone", () => {
  const engine = new Engine(new FakeModel());
  const free = makeRequest([4, 5], { maxTokens: 6 });
  const script = new Script([70]);
  script.mask = () => new Uint32Array(4);
  engine.submit(id(0), free);
  engine.submit(id(1), makeRequest([1, 2, 3]), script);
  const events = runToEnd(engine);
  expect(eventsOf(events, id(1)).at(-1)).toEqual({ type: "failed", message: "the answer's grammar allows no token" });
  expect(tokensOf(eventsOf(events, id(0)))).toEqual(answerAlone(free, 64));
  expect(script.closeCount).toBe(1);
});

describe("a constraint is closed once", () => {
  const endings: Record<string, (engine: Engine, model: FakeModel, script: Script) => void> = {
    "an end token": (engine, _model, script) =>
      engine.submit(id(0), makeRequest([1], { maxTokens: 9, stopTokenIds: [70, 3, 99, 41] }), script),
    "the token limit": (engine, _model, script) => engine.submit(id(0), makeRequest([1], { maxTokens: 2 }), script),
    "an abort in the queue": (engine, _model, script) => {
      engine.submit(id(0), makeRequest([1], { maxTokens: 4 }), script);
      engine.abort(id(0));
      engine.abort(id(0));
    },
    "an abort in the middle": (engine, _model, script) => {
      engine.submit(id(0), makeRequest([1], { maxTokens: 4 }), script);
      engine.step();
      engine.step();
      engine.abort(id(0));
    },
    "a step that fails": (engine, model, script) => {
      engine.submit(id(0), makeRequest([1], { maxTokens: 4 }), script);
      model.failNext = "step";
    },
    "a full queue": (engine, _model, script) => {
      for (let other = 1; other <= 5; other++) engine.submit(id(other), makeRequest([1])); // four slots and one place
      expect(() => engine.submit(id(0), makeRequest([1]), script)).toThrow("try again later");
    },
    "a prompt that is too long": (engine, _model, script) =>
      expect(() => engine.submit(id(0), makeRequest(Array.from({ length: 64 }, () => 1)), script)).toThrow("--max-model-len"),
  };

  test.each(Object.entries(endings))("after %s", (_name, run) => {
    const model = new FakeModel();
    const engine = new Engine(model, { maxWaiting: 1 });
    const script = new Script([70, 3, 99, 41]);
    run(engine, model, script);
    runToEnd(engine);
    expect(script.closeCount).toBe(1);
  });
});

describe("the port of a constraint", () => {
  const cleanUps: (() => unknown)[] = [];

  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0)) await cleanUp();
  });

  async function connect() {
    const { port1, port2 } = new MessageChannel();
    const open = ({ port }: ConstraintHandle): TokenConstraint =>
      Object.assign(new Script([70, 3, 99, 41, 70, 3]), { close: () => port.close() });
    void runEngineLoop(new Engine(new FakeModel({ slotCapacity: 64 })), port2, open);
    const client = await EngineClient.start(port1);
    cleanUps.push(() => client.close());
    return client;
  }

  /** The request with a constraint, and the end of its port that the grammar has. */
  function constrained(request: EngineRequest): { readonly request: EngineRequest; readonly far: MessagePort } {
    const { port1, port2 } = new MessageChannel();
    port2.on("message", () => {});
    const constraint = { port: port1, shared: new SharedArrayBuffer(4), ended: new SharedArrayBuffer(4) };
    return { request: { ...request, constraint }, far: port2 };
  }

  test("goes over with the request, and is closed at its end", async () => {
    const client = await connect();
    const { request, far } = constrained(makeRequest([1], { maxTokens: 3 }));
    const events: GenerationEvent[] = [];
    for await (const event of client.submit(request, new AbortController().signal)) events.push(event);
    expect(tokensOf(events)).toEqual([70, 3, 99]);
    await once(far, "close");
  });

  test("is closed when the client leaves", async () => {
    const client = await connect();
    const { request, far } = constrained(makeRequest([1], { maxTokens: Infinity }));
    for await (const event of client.submit(request, new AbortController().signal)) if (event.type === "token") break;
    await once(far, "close");
  });

  test("is closed when the engine refuses the request", async () => {
    const client = await connect();
    const { request, far } = constrained(makeRequest(Array.from({ length: 64 }, () => 1)));
    await expect(client.submit(request, new AbortController().signal).next()).rejects.toThrow("--max-model-len");
    await once(far, "close");
  });

  test("is still the caller's when the request is not sent", async () => {
    const client = await connect();
    const { request, far } = constrained(makeRequest([1]));
    const signal = AbortSignal.abort(new Error("gone"));
    await expect(client.submit(request, signal).next()).rejects.toThrow("gone");
    request.constraint!.port.close();
    await once(far, "close");
  });
});
