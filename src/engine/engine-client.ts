// The server's side of the thread boundary: each request is an async iterable of its events.

import { once } from "node:events";
import type { MessagePort } from "node:worker_threads";
import { EngineError, RequestError } from "../core/errors.ts";
import type { GenerationEvent } from "../core/events.ts";
import type { EngineLimits, EngineRequest, EngineStats, FromEngine, SequenceId, ToEngine } from "./engine-protocol.ts";

/** Events of one request that its consumer has not taken yet. */
type Inbox = {
  events: GenerationEvent[];
  /** When set, `error` is thrown once `events` is empty. */
  hasEnded: boolean;
  error: unknown;
  wake: () => void;
};

const idleStats: EngineStats = { running: 0, waiting: 0, slotsUsed: 0, steps: 0, prefillTokens: 0, cachedTokens: 0, decodeTokens: 0 };

/**
 * Talks to a `runEngineLoop` at the other end of the port. When that end dies, all open iterations and all later ones throw
 * EngineError; `fail` may tell the reason, which the port does not know.
 */
export class EngineClient {
  /** Resolves when the engine is loaded; rejects with EngineError when it dies before. */
  readonly ready: Promise<EngineLimits>;
  readonly #port: MessagePort;
  readonly #inboxes = new Map<SequenceId, Inbox>();
  #nextId = 0;
  #stats = idleStats;
  /** Why nothing can be submitted any more. */
  #death: EngineError | undefined;
  #isOpen = true;
  #resolveReady = (_limits: EngineLimits): void => {};
  #rejectReady = (_error: EngineError): void => {};

  constructor(port: MessagePort) {
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => {}); // whoever awaits it is told; that nobody does is no crash
    this.#port = port;
    port.on("message", (message: FromEngine) => this.#receive(message));
    port.on("close", () => {
      this.#isOpen = false;
      this.fail(new EngineError("the engine thread has ended"));
    });
  }

  /**
   * Generates an answer. The request is sent when the iteration starts; leaving the loop early or aborting the signal ends
   * it in the engine within one step. Throws RequestError when the engine refuses it, EngineError when the engine dies, the
   * signal's reason when it is aborted. A failed step is an event.
   */
  async *submit(request: EngineRequest, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, undefined> {
    signal.throwIfAborted();
    if (this.#death) throw this.#death;
    const id = this.#nextId++ as SequenceId; // the only place that makes ids
    const inbox: Inbox = { events: [], hasEnded: false, error: undefined, wake: () => {} };
    const abort = (): void => this.#abort(id, signal.reason);
    this.#inboxes.set(id, inbox);
    signal.addEventListener("abort", abort, { once: true });
    try {
      this.#send({ type: "submit", id, request });
      for (;;) {
        const event = await takeEvent(inbox);
        const isLast = event.type === "finished" || event.type === "failed";
        if (isLast) this.#inboxes.delete(id);
        yield event;
        if (isLast) return;
      }
    } finally {
      signal.removeEventListener("abort", abort);
      this.#abort(id, undefined);
    }
  }

  /** The engine's counts after its last step. */
  stats(): EngineStats {
    return this.#stats;
  }

  /** Ends the loop in the engine's thread; what still runs throws. Resolves when the port is closed. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    const closed = once(this.#port, "close");
    this.#send({ type: "close" });
    this.fail(new EngineError("the engine was closed"));
    await closed;
  }

  /** Declares the engine dead, e.g. on the worker's `error` event. Only the first cause counts. */
  fail(cause: Error): void {
    if (this.#death) return;
    this.#death = cause instanceof EngineError ? cause : new EngineError(`the engine thread failed: ${cause.message}`, { cause });
    this.#rejectReady(this.#death);
    for (const id of this.#inboxes.keys()) this.#end(id, this.#death);
  }

  #send(message: ToEngine): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port, not a window
    this.#port.postMessage(message);
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case "ready":
        return this.#resolveReady(message.limits);
      case "fatal":
        return this.fail(new EngineError(message.message));
      case "refused":
        return this.#end(message.id, new RequestError(message.error.message, message.error.options));
      case "events":
        this.#stats = message.stats;
        for (const [id, event] of message.events) this.#deliver(id, event);
    }
  }

  /** Events of ids without an inbox were under way when the request was aborted. */
  #deliver(id: SequenceId, event: GenerationEvent): void {
    const inbox = this.#inboxes.get(id);
    inbox?.events.push(event);
    inbox?.wake();
  }

  /** Stops a request that is still under way. What it gave already is not wanted any more. */
  #abort(id: SequenceId, reason: unknown): void {
    const inbox = this.#inboxes.get(id);
    if (!inbox) return;
    inbox.events = [];
    this.#send({ type: "abort", id });
    this.#end(id, reason);
  }

  #end(id: SequenceId, error: unknown): void {
    const inbox = this.#inboxes.get(id);
    if (!inbox) return;
    this.#inboxes.delete(id);
    inbox.error = error;
    inbox.hasEnded = true;
    inbox.wake();
  }
}

async function takeEvent(inbox: Inbox): Promise<GenerationEvent> {
  for (;;) {
    const event = inbox.events.shift();
    if (event) return event;
    if (inbox.hasEnded) throw inbox.error;
    await new Promise<void>((resolve) => (inbox.wake = resolve));
  }
}
