import { MessageChannel } from "node:worker_threads";
import { expect, test } from "vitest";
import type { GenerationEvent } from "../../src/core/events.ts";
import { EngineClient } from "../../src/engine/engine-client.ts";
import type { FromEngine, SequenceId } from "../../src/engine/engine-protocol.ts";
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

/** A client, and an engine that says of its first request what it is told to. */
async function startClient() {
  const { port1, port2 } = new MessageChannel();
  const post = (message: FromEngine) => port2.postMessage(message);
  post({ type: "ready" });
  const client = await EngineClient.start(port1);
  const say = (events: readonly GenerationEvent[]) =>
    post({ type: "events", events: events.map((event) => [0 as SequenceId, event]), stats: client.stats() });
  return { client, say };
}
