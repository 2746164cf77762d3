import { MessageChannel } from "node:worker_threads";
import { expect, test } from "vitest";
import type { GenerationEvent } from "../../src/core/events.ts";
import { EngineClient } from "../../src/engine/engine-client.ts";
import type { FromEngine, SequenceId, ToEngine } from "../../src/engine/engine-protocol.ts";
import { makeRequest } from "./fake-model.ts";

// Taken with `shift`, so many events take minutes instead of a second: V8 may move the rest of a long array each time.
test("what a slow reader has not taken yet is kept, comes quickly, and is dropped when the reader gives up", async () => {
  const { client, say } = await startClient();
  const controller = new AbortController();
  const events = client.submit(makeRequest([1]), controller.signal);
  const first = events.next();
  say(Array.from({ length: 524_288 }, (_, tokenId) => ({ type: "token", tokenId })));
  const taken = [(await first).value];
  while (taken.length < 524_000) taken.push((await events.next()).value);
  expect(taken.findIndex((event, i) => event?.type !== "token" || event.tokenId !== i)).toBe(-1);
  controller.abort(new Error("gone"));
  await expect(events.next()).rejects.toThrow("gone");
});

/** A token and 19 log-probabilities: 2,016 bytes by the estimate. */
const token: GenerationEvent = {
  type: "token",
  tokenId: 1,
  logprobs: { logprob: -1, top: Array.from({ length: 19 }, (_, tokenId) => ({ tokenId, logprob: -1 })) },
};
const tooSlow = { status: 408, code: "read_too_slowly" };

test("the slowest of all readers loses its answer when they leave too much together, the others go on", async () => {
  const { client, say, ended } = await startClient({ unreadBytes: 1_000_000 });
  const slow = client.submit(makeRequest([1]), new AbortController().signal);
  const other = client.submit(makeRequest([2]), new AbortController().signal);
  const firsts = [slow.next(), other.next()];
  say(Array.from({ length: 480 }, () => token));
  say(
    Array.from({ length: 100 }, () => token),
    1,
  );
  for (const first of firsts) expect((await first).value).toEqual(token);
  for (let i = 1; i < 100; i++) expect((await other.next()).value).toEqual(token);

  await expect(slow.next()).rejects.toMatchObject(tooSlow);
  expect(await ended).toBe(0);
  say([{ type: "finished", reason: "stop" }], 1);
  expect((await other.next()).value).toMatchObject({ type: "finished" });
});

test("what has been read, or nobody waits for any more, counts no longer", async () => {
  const { client, say } = await startClient({ unreadBytes: 1_000_000 });
  for (let id = 0; id < 10; id++) {
    const controller = new AbortController();
    const events = client.submit(makeRequest([1]), controller.signal);
    const first = events.next();
    say(
      Array.from({ length: 400 }, () => token),
      id,
    );
    await first;
    if (id % 2 === 0) {
      for (let i = 1; i < 400; i++) await events.next();
      say(
        Array.from({ length: 400 }, () => token),
        id,
      );
      await events.next();
    }
    if (id % 3 === 0) await events.return();
    else {
      controller.abort(new Error("gone"));
      await expect(events.next()).rejects.toThrow("gone");
    }
  }
});

/** A client, and an engine that says of a request what it is told to. */
async function startClient(limits?: { unreadBytes: number }) {
  const { port1, port2 } = new MessageChannel();
  const post = (message: FromEngine) => port2.postMessage(message);
  post({ type: "ready" });
  const client = await EngineClient.start(port1, undefined, limits);
  const say = (events: readonly GenerationEvent[], id = 0) =>
    post({ type: "events", events: events.map((event) => [id as SequenceId, event]), stats: client.stats() });
  /** The first request that the engine is told to end. */
  const ended = new Promise<SequenceId>((resolve) =>
    port2.on("message", (message: ToEngine) => message.type === "abort" && resolve(message.id)),
  );
  return { client, say, ended };
}
