// The server's side of the thread boundary: each request is an async iterable of its events.

import type { EventEmitter } from "node:events";
import type { MessagePort, Worker } from "node:worker_threads";
import type { StepReport } from "../core/batch.ts";
import { monotonicMs } from "../core/clock.ts";
import { EngineError, RequestError, UserError } from "../core/errors.ts";
import type { GenerationEvent } from "../core/events.ts";
import type { EngineRequest, EngineStats, FromEngine, SequenceId, ToEngine } from "./engine-protocol.ts";

/** Events of one request that its consumer has not taken yet. */
type Inbox = {
  events: GenerationEvent[];
  /** When set, `error` is thrown once `events` is empty. */
  hasEnded: boolean;
  readonly onEvent: (event: GenerationEvent) => void;
  error: unknown;
  wake: () => void;
};

const idleStats: EngineStats = { running: 0, waiting: 0, slotsUsed: 0, steps: 0, prefillTokens: 0, cachedTokens: 0, decodeTokens: 0 };

/** The worker that runs `runEngineLoop`, or a MessagePort to it. */
export type EnginePort = EventEmitter & Pick<Worker, "postMessage">;

/** Talks to a `runEngineLoop` at the other end of the port. When that end dies, all open iterations and all later ones throw EngineError. */
export class EngineClient {
  readonly #port: EnginePort;
  readonly #ready: Promise<void>;
  readonly #ended: Promise<void>;
  readonly #inboxes = new Map<SequenceId, Inbox>();
  #nextId = 0;
  #stats = idleStats;
  /** Why nothing can be submitted any more. */
  #death: EngineError | undefined;
  #onReady = (): void => {};
  readonly #onWarmUp: (done: number, total: number) => void;
  #onDeath = (_error: Error): void => {};
  #onStep = (_step: StepReport): void => {};

  /**
   * Waits until the engine is loaded and, on a GPU, warmed up. Throws what the worker threw when it could not be: UserError or
   * EngineError.
   */
  static async start(port: EnginePort, onWarmUp: (done: number, total: number) => void = () => {}): Promise<EngineClient> {
    const client = new EngineClient(port, onWarmUp);
    await client.#ready;
    return client;
  }

  private constructor(port: EnginePort, onWarmUp: (done: number, total: number) => void) {
    this.#port = port;
    this.#onWarmUp = onWarmUp;
    this.#ready = new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.#onDeath = reject;
    });
    this.#ended = new Promise((resolve) => {
      for (const event of ["close", "exit"]) port.once(event, () => resolve());
    });
    void this.#ended.then(() => this.#die(new EngineError("the engine thread has ended")));
    port.on("error", (error: Error) => this.#die(error));
    port.on("message", (message: FromEngine) => this.#receive(message));
  }

  get isAlive(): boolean {
    return !this.#death;
  }

  /** Calls the listener when the engine dies by itself. At most one listener. */
  onFatal(listener: (message: string) => void): void {
    this.#onDeath = (error) => listener(error.message);
    if (this.#death) listener(this.#death.message);
  }

  /** Calls the listener with each step. At most one listener. */
  onStep(listener: (step: StepReport) => void): void {
    this.#onStep = listener;
  }

  /**
   * Generates an answer. The request is sent when the iteration starts; leaving the loop early or aborting the signal ends
   * it in the engine within one step. Throws RequestError when the engine refuses it, EngineError when the engine dies, the
   * signal's reason when it is aborted. A failed step is an event. The port of a constraint goes over with the request; when an error
   * comes before that, it is still the caller's. `onEvent` is told of each event as it comes, however slowly the loop takes them.
   */
  async *submit(
    request: EngineRequest,
    signal: AbortSignal,
    onEvent: (event: GenerationEvent) => void = () => {},
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    signal.throwIfAborted();
    if (this.#death) throw this.#death;
    const id = this.#nextId++ as SequenceId; // the only place that makes ids
    const inbox: Inbox = { events: [], hasEnded: false, onEvent, error: undefined, wake: () => {} };
    const abort = (): void => this.#abort(id, signal.reason);
    this.#inboxes.set(id, inbox);
    signal.addEventListener("abort", abort, { once: true });
    try {
      this.#send({ type: "submit", id, request, sentMs: monotonicMs() }, request.constraint ? [request.constraint.port] : []);
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

  /** Ends the engine's thread; what still runs throws. Resolves when it has ended. */
  async close(): Promise<void> {
    this.#send({ type: "close" });
    this.#onDeath = () => {};
    this.#die(new EngineError("the engine was closed"));
    await this.#ended;
  }

  /** Only the first cause counts: others follow from it. */
  #die(cause: Error): void {
    if (this.#death) return;
    this.#death = cause instanceof EngineError ? cause : new EngineError(`the engine thread failed: ${cause.message}`, { cause });
    for (const id of this.#inboxes.keys()) this.#end(id, this.#death);
    // An error loses its class on its way between threads, but not its name.
    this.#onDeath(cause.name === "UserError" ? new UserError(cause.message) : this.#death);
  }

  #send(message: ToEngine, transferred: readonly MessagePort[] = []): void {
    this.#port.postMessage(message, transferred);
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case "warming-up":
        return this.#onWarmUp(message.done, message.total);
      case "ready":
        return this.#onReady();
      case "fatal":
        return this.#die(new EngineError(message.message));
      case "refused":
        return this.#end(message.id, new RequestError(message.error.message, message.error.options));
      case "events":
        this.#stats = message.stats;
        if (message.step) this.#onStep(message.step);
        for (const [id, event] of message.events) this.#deliver(id, event);
    }
  }

  /** Events of ids without an inbox were under way when the request was aborted. */
  #deliver(id: SequenceId, event: GenerationEvent): void {
    const inbox = this.#inboxes.get(id);
    if (!inbox) return;
    inbox.onEvent(event);
    inbox.events.push(event);
    inbox.wake();
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
