import { setTimeout } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import { afterEach, describe, expect, test, vi } from "vitest";
import { monotonicMs } from "../../src/core/clock.ts";
import { DeviceLostError, EngineError, RequestError } from "../../src/core/errors.ts";
import type { GenerationEvent } from "../../src/core/events.ts";
import { Engine } from "../../src/engine/engine.ts";
import { EngineClient } from "../../src/engine/engine-client.ts";
import { runEngineLoop } from "../../src/engine/engine-loop.ts";
import type { EngineRequest } from "../../src/engine/engine-protocol.ts";
import type { SchedulerOptions } from "../../src/engine/scheduler.ts";
import { answerAlone, FakeModel, makeRequest, noConstraint } from "./fake-model.ts";
import { tokensOf } from "./make-engine.ts";

const endless = makeRequest([1, 2], { maxTokens: Infinity });
const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** Client and loop at both ends of a channel, in this thread. */
async function connect(options: Partial<SchedulerOptions> = {}, slotCapacity = 10_000, pixelBytes?: number) {
  const { port1, port2 } = new MessageChannel();
  const model = new FakeModel({ slotCount: 2, slotCapacity });
  const engine = new Engine(model, options);
  const loop = runEngineLoop(engine, port2, noConstraint);
  const client = await EngineClient.start(port1, undefined, { pixelBytes });
  cleanUps.push(() => client.close());
  return { client, engine, model, loop, enginePort: port2 };
}

function never(): AbortSignal {
  return new AbortController().signal;
}

async function collect(client: EngineClient, request: EngineRequest, signal = never()): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of client.submit(request, signal)) events.push(event);
  return events;
}

/** Waits until the engine has nothing to do. */
async function settle(engine: Engine): Promise<void> {
  while (engine.hasWork()) await setTimeout(1);
}

describe("a client over a message channel", () => {
  test("streams the events of an answer", async () => {
    const { client } = await connect();
    const request = makeRequest([1, "cat", 2], { maxTokens: 3 });
    const tokens = answerAlone(request, 100).map((tokenId) => ({ type: "token", tokenId }));
    expect(await collect(client, request)).toEqual([
      { type: "started", cachedTokens: 0, sentMs: expect.any(Number), queuedMs: expect.any(Number) },
      ...tokens,
      { type: "finished", reason: "length" },
    ]);
  });

  test("keeps many answers apart", async () => {
    const { client } = await connect();
    const requests = Array.from({ length: 20 }, (_, i) => makeRequest([i, "cat", 2 * i], { maxTokens: 1 + (i % 7) }));
    const answers = await Promise.all(requests.map((request) => collect(client, request)));
    expect(answers.map(tokensOf)).toEqual(requests.map((request) => answerAlone(request, 100)));
  });

  test("answers again after the engine was idle", async () => {
    const { client, engine } = await connect();
    await collect(client, makeRequest([1]));
    await settle(engine);
    await setTimeout(20);
    expect(tokensOf(await collect(client, makeRequest([2])))).toEqual(answerAlone(makeRequest([2]), 100));
  });

  test("leaves the engine asleep while there is nothing to do", async () => {
    const { client, engine } = await connect();
    await collect(client, makeRequest([1]));
    await settle(engine);
    const turns = vi.spyOn(engine, "stats"); // read once in each turn of the loop
    await setTimeout(20);
    expect(turns).not.toHaveBeenCalled();
  });

  test("knows the engine's counts", async () => {
    const { client } = await connect();
    await collect(client, makeRequest([1, 2, 3], { maxTokens: 5 }));
    expect(client.stats()).toEqual({ running: 0, waiting: 0, slotsUsed: 0, kvCacheUsage: 0, preemptions: 0 });
  });

  test("tells of each step", async () => {
    const { client } = await connect();
    const kinds: string[] = [];
    client.onStep(({ kind, tokenCount }) => kinds.push(`${kind} ${tokenCount}`));
    await collect(client, makeRequest([1, "cat", 3], { maxTokens: 3 }));
    expect(kinds).toEqual(["encode 3", "prefill 5", "decode 1", "decode 1"]);
  });

  test("tells of events as they come, even to one who takes none of them", async () => {
    const { client, engine } = await connect();
    const seen: string[] = [];
    const events = client.submit(makeRequest([1], { maxTokens: 3 }), never(), ({ type }) => seen.push(type));
    await events.next();
    await settle(engine);
    while (seen.length < 5) await setTimeout(1);
    expect(seen).toEqual(["started", "token", "token", "token", "finished"]);
    await events.return();
  });

  test("passes a failed step on as an event", async () => {
    const { client, model } = await connect();
    model.failNext = "step";
    expect(await collect(client, makeRequest([1]))).toContainEqual({ type: "failed", message: "the device is on fire" });
    expect(client.isAlive).toBe(true);
  });

  test("passes a request that breaks the engine's own rules on as a failure of that request", async () => {
    const { client } = await connect();
    expect(await collect(client, makeRequest([]))).toEqual([expect.objectContaining({ type: "failed" })]);
    expect(await collect(client, makeRequest([1], { maxTokens: 1 }))).toHaveLength(3);
  });
});

describe("a refusal", () => {
  test("crosses the boundary with all its fields", async () => {
    const { client } = await connect({ maxWaiting: 0 });
    const busy = [client.submit(endless, never()), client.submit(endless, never())];
    for (const iterator of busy) await iterator.next();
    const expected = { constructor: RequestError, status: 429, code: "queue_full", param: undefined, retryAfterMs: 1000 };
    await expect(collect(client, makeRequest([1]))).rejects.toThrow(expect.objectContaining(expected));
  });

  test("of a prompt that is too long is a 400", async () => {
    const { client } = await connect({}, 2);
    const expected = {
      constructor: RequestError,
      status: 400,
      code: "context_length_exceeded",
      param: "messages",
      retryAfterMs: undefined,
    };
    await expect(collect(client, makeRequest([1, 2]))).rejects.toThrow(expect.objectContaining(expected));
    expect(tokensOf(await collect(client, makeRequest([1])))).toHaveLength(1);
  });
});

describe("pictures of prompts that are not computed yet", () => {
  const withPicture = (byteLength: number, options: Partial<EngineRequest> = {}) => {
    const request = makeRequest([1, "cat", "cat"], { maxTokens: 3, ...options });
    const patches = new Uint8Array(byteLength);
    const spans = request.prompt.spans.map((span) => ({ ...span, image: { ...span.image, patches } }));
    return { ...request, prompt: { ...request.prompt, spans } };
  };
  const refused = expect.objectContaining({ constructor: RequestError, status: 429, code: "queue_full", retryAfterMs: 5000 });

  test("have a bound, and make room when the answer begins or is given up", async () => {
    const { client } = await connect({}, 10_000, 1000);
    const busy = [client.submit(endless, never()), client.submit(endless, never())];
    for (const iterator of busy) await iterator.next();
    const controller = new AbortController();
    const first = expect(collect(client, withPicture(600), controller.signal)).rejects.toThrow("gone");
    await expect(collect(client, withPicture(401))).rejects.toThrow(refused);
    const second = collect(client, withPicture(400));
    controller.abort(new Error("gone"));
    await first;
    const third = collect(client, withPicture(600));
    for (const iterator of busy) await iterator.return();
    expect(tokensOf(await second)).toHaveLength(3);
    expect(tokensOf(await third)).toHaveLength(3);
    expect(tokensOf(await collect(client, withPicture(1000)))).toHaveLength(3);
  });

  test("count until a prompt is computed, not only until that begins", async () => {
    const { client } = await connect({}, 10_000, 1000);
    const others: Promise<unknown>[] = [];
    const onEvent = () => void others.push(collect(client, withPicture(401)).catch((error: unknown) => error));

    for await (const _ of client.submit(withPicture(600, { maxTokens: 1 }), never(), onEvent));

    const [atStart, atFirstToken] = await Promise.all(others);
    expect(atStart).toEqual(refused);
    expect(atFirstToken).toHaveLength(5);
  });

  test("never keep out texts, one request alone, or what goes on with a request", async () => {
    const { client } = await connect({}, 10_000, 1000);
    const all = [withPicture(5000), makeRequest([1]), withPicture(5000, { isFollowUp: true })].map((request) => collect(client, request));
    expect((await Promise.all(all)).map((events) => events.at(-1)?.type)).toEqual(["finished", "finished", "finished"]);
  });

  test("never keep out a client that has none of them waiting: others cannot lock it out", async () => {
    const { client } = await connect({}, 10_000, 1000);
    const first = ["ann", "bob"].map((clientId) => collect(client, withPicture(900, { clientId })));
    first.forEach((events) => events.catch(() => {}));

    await expect(collect(client, withPicture(900, { clientId: "ann" }))).rejects.toThrow(refused);
    expect((await Promise.all(first)).map((events) => events.at(-1)?.type)).toEqual(["finished", "finished"]);
  });

  test("never reach the engine when they are given up on their way, nor hold up what comes behind", async () => {
    const { client, engine } = await connect();
    const submit = vi.spyOn(engine, "submit");
    const controller = new AbortController();
    const film = collect(client, withPicture(64 * 2 ** 20), controller.signal);
    expect(tokensOf(await collect(client, makeRequest([1], { maxTokens: 1 })))).toHaveLength(1);
    controller.abort(new Error("gone"));
    await expect(film).rejects.toThrow("gone");
    await setTimeout(20);
    expect(submit).toHaveBeenCalledTimes(1);
    expect(tokensOf(await collect(client, withPicture(64 * 2 ** 20)))).toHaveLength(3);
  });
});

describe("silence of the engine", () => {
  test("is counted only while it has work", async () => {
    const { client, model } = await connect();
    const silences: { readonly ms: number; readonly sinceSubmitMs: number }[] = [];
    let submitMs = 0;
    const steps: unknown[] = [];
    client.onStep((step) => steps.push(step));
    model.onStep = () => {
      const end = monotonicMs() + 20;
      while (monotonicMs() < end); // a long step
      silences.push({ ms: client.silentMs(), sinceSubmitMs: monotonicMs() - submitMs });
    };
    await setTimeout(50);
    submitMs = monotonicMs();
    const events = client.submit(makeRequest([1], { maxTokens: 2 }), never());
    await events.next();
    while (steps.length < 2) await setTimeout(1);
    expect(silences[0]!.ms).toBeGreaterThanOrEqual(20);
    expect(silences[0]!.ms, "without the time before it had work").toBeLessThanOrEqual(silences[0]!.sinceSubmitMs);
    expect(client.silentMs(), "all events are here, though nobody has taken them").toBe(0);
  });

  test("can be taken for death", async () => {
    const { client } = await connect();
    const reasons: string[] = [];
    client.onFatal((reason) => reasons.push(reason));
    const answer = expect(collect(client, endless)).rejects.toThrow("no step has ended");
    client.abandon("no step has ended");
    await answer;
    expect(reasons).toEqual(["no step has ended"]);
    expect(client.isAlive).toBe(false);
  });
});

describe("an answer nobody wants any more ends in the engine", () => {
  test("when the consumer leaves the loop", async () => {
    const { client, engine } = await connect();
    for await (const event of client.submit(endless, never())) if (event.type === "token") break;
    await settle(engine);
    expect(engine.stats()).toMatchObject({ running: 0, slotsUsed: 0 });
  });

  test("when the signal aborts, and the consumer gets its reason", async () => {
    const { client, engine } = await connect();
    const controller = new AbortController();
    const events: GenerationEvent[] = [];
    const consume = async (): Promise<void> => {
      for await (const event of client.submit(endless, controller.signal)) {
        events.push(event);
        if (events.length === 3) controller.abort(new Error("gone"));
      }
    };
    await expect(consume()).rejects.toThrow("gone");
    expect(events).toHaveLength(3);
    await settle(engine);
    expect(engine.stats().slotsUsed).toBe(0);
  });

  test("when the signal aborts while the consumer is busy elsewhere", async () => {
    const { client, engine } = await connect();
    const controller = new AbortController();
    const iterator = client.submit(endless, controller.signal);
    await iterator.next();
    controller.abort(new Error("gone"));
    await settle(engine);
    await expect(iterator.next()).rejects.toThrow("gone");
  });

  test("when the signal aborts while the request waits", async () => {
    const { client, engine } = await connect();
    const busy = [client.submit(endless, never()), client.submit(endless, never())];
    for (const iterator of busy) await iterator.next();
    const controller = new AbortController();
    const waiting = collect(client, makeRequest([3]), controller.signal);
    while (engine.stats().waiting === 0) await setTimeout(1);
    controller.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    while (engine.stats().waiting > 0) await setTimeout(1);
    for (const iterator of busy) await iterator.return();
  });

  test("and is never sent when the signal has aborted before", async () => {
    const { client, model } = await connect();
    await expect(collect(client, endless, AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
    expect(model.log).toEqual([]);
  });

  test("within one step", async () => {
    const { client, engine, model } = await connect();
    const iterator = client.submit(endless, never());
    await iterator.next();
    let stepsAfterAbort = 0;
    model.onStep = () => void stepsAfterAbort++;
    await iterator.return();
    await settle(engine);
    expect(stepsAfterAbort).toBeLessThanOrEqual(1);
  });
});

describe("the end of the engine", () => {
  test("by `close` ends the loop, and what runs throws", async () => {
    const { client, loop } = await connect();
    const running = collect(client, endless);
    const refused = expect(running).rejects.toThrow(expect.objectContaining({ status: 503, code: "shutting_down" }));
    await client.close();
    await loop;
    await refused;
    await expect(collect(client, endless)).rejects.toThrow(expect.objectContaining({ status: 503 }));
    expect(client.isAlive).toBe(false);
    await client.close();
  });

  test("by a lost port makes open and later requests throw, and tells the listener", async () => {
    const { client, loop, enginePort } = await connect();
    const told: string[] = [];
    client.onFatal((message) => told.push(message));
    const running = collect(client, endless);
    await setTimeout(5);
    enginePort.close();
    await expect(running).rejects.toThrow(EngineError);
    await expect(collect(client, endless)).rejects.toThrow(EngineError);
    await loop;
    expect(told).toEqual(["the engine thread has ended"]);
  });

  test("by a bug outside of a step is reported once, with its message", async () => {
    const { client, engine, loop } = await connect();
    engine.step = () => {
      throw new Error("a broken promise");
    };
    const told: string[] = [];
    client.onFatal((message) => told.push(message));
    await expect(collect(client, endless)).rejects.toThrow("a broken promise");
    await loop;
    expect(told).toEqual(["a broken promise"]);
  });
});

describe("a device that is lost", () => {
  test("ends the engine, so that whoever started it can start it anew", async () => {
    const { client, model, loop } = await connect();
    model.onStep = () => {
      throw new DeviceLostError("the GPU has failed");
    };
    const told: string[] = [];
    client.onFatal((message) => told.push(message));
    await expect(collect(client, endless)).rejects.toThrow("the GPU has failed");
    await loop;
    expect(told).toEqual(["the GPU has failed"]);
    expect(client.isAlive).toBe(false);
  });
});
