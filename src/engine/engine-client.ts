// The server's side of the thread boundary: each request is an async iterable of its events.

import type { EventEmitter } from "node:events";
import type { Transferable, Worker } from "node:worker_threads";
import type { StepReport } from "../core/batch.ts";
import { monotonicMs } from "../core/clock.ts";
import { EngineError, RequestError, UserError } from "../core/errors.ts";
import type { GenerationEvent } from "../core/events.ts";
import { copyPixels, pixelsOf } from "./copy-pixels.ts";
import type { EngineRequest, EngineStats, FromEngine, SequenceId, ToEngine } from "./engine-protocol.ts";

/** State of one request: the events that its consumer has not taken yet, and how it ended. */
type Inbox = {
  readonly clientId: string | undefined;
  events: GenerationEvent[];
  /** Earlier ones, in the consumer's hands. */
  taken: GenerationEvent[];
  /** An estimate of the memory of both, without those that the consumer is done with. */
  unreadBytes: number;
  /** Whether more events are to come from the engine. */
  isOpen: boolean;
  /** Bytes of its pictures until its prompt is computed. */
  pixelBytes: number;
  /** If true, `error` is thrown once `events` is empty. */
  hasEnded: boolean;
  readonly onEvent: (event: GenerationEvent) => void;
  error: unknown;
  wake: () => void;
};

/** Limit on the pixels of all requests whose prompts are not computed yet. They are held twice: in this thread and in the engine's. */
const defaultPixelBytes = 2 ** 30;

/** Limit on the events of all requests that their clients have not read yet: the engine does not wait for slow ones. Some 2,800,000 tokens. */
const defaultUnreadBytes = 2 ** 28;

/** What an event takes, and each log-probability in it, measured after the structured clone. */
const bytesOfEvent = 96;

/** Retry-After of a request whose pictures exceed the limit: long enough to compute a few prompts with pictures. */
const retryPicturesMs = 5000;

const retryAfterRestartMs = 5000;

/** Other limits than the usual ones, for tests. */
type Limits = { readonly pixelBytes?: number | undefined; readonly unreadBytes?: number | undefined };

const idleStats: EngineStats = { running: 0, waiting: 0, slotsUsed: 0, kvCacheUsage: 0, preemptions: 0 };

/** The worker that runs `runEngineLoop`, or a MessagePort to it. */
type EnginePort = EventEmitter & Pick<Worker, "postMessage">;

/** Talks to a `runEngineLoop` at the other end of the port. When that end dies, all open iterations and later submissions throw EngineError. */
export class EngineClient {
  readonly #port: EnginePort;
  readonly #ready: Promise<void>;
  readonly #ended: Promise<void>;
  readonly #inboxes = new Map<SequenceId, Inbox>();
  #nextId = 0;
  #stats = idleStats;
  /** Set once the engine is dead: why nothing can be submitted any more. */
  #death: Error | undefined;
  readonly #pixelBytesLimit: number;
  #pixelBytes = 0;
  readonly #unreadBytesLimit: number;
  #unreadBytes = 0;
  /** When the engine last sent a message, or got work after being idle. */
  #lastSignMs = 0;
  #onReady = (): void => {};
  readonly #onWarmUp: (done: number, total: number) => void;
  #onDeath = (_error: Error): void => {};
  #onStep = (_step: StepReport): void => {};

  /**
   * Waits until the engine is loaded and, on a GPU, warmed up. If the worker fails to start, throws its error: UserError or EngineError.
   */
  static async start(
    port: EnginePort,
    onWarmUp: (done: number, total: number) => void = () => {},
    { pixelBytes = defaultPixelBytes, unreadBytes = defaultUnreadBytes }: Limits = {},
  ): Promise<EngineClient> {
    const client = new EngineClient(port, onWarmUp, pixelBytes, unreadBytes);
    await client.#ready;
    return client;
  }

  private constructor(port: EnginePort, onWarmUp: (done: number, total: number) => void, pixelBytes: number, unreadBytes: number) {
    this.#port = port;
    this.#pixelBytesLimit = pixelBytes;
    this.#unreadBytesLimit = unreadBytes;
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

  /** Calls the listener when the engine dies other than by `close`. At most one listener. */
  onFatal(listener: (message: string) => void): void {
    this.#onDeath = (error) => listener(error.message);
    if (this.#death) listener(this.#death.message);
  }

  /** Calls the listener with the report of each step. At most one listener. */
  onStep(listener: (step: StepReport) => void): void {
    this.#onStep = listener;
  }

  /**
   * Generates an answer. The request is sent when the iteration starts, once its pixels are copied. Leaving the loop early or aborting the signal
   * ends it in the engine within one step. When `enough` aborts, the answer ends with `finished` instead.
   *
   * Throws RequestError if the engine refuses the request, too many pictures wait, or the loop takes its events too slowly; EngineError if the engine
   * dies; and the signal's reason if it is aborted. A failed step is an event. A constraint's port is transferred with the request; after an error before that, the caller still owns
   * it. `onEvent` is called with each event as it arrives, however slowly the loop takes them.
   */
  async *submit(
    request: EngineRequest,
    signal: AbortSignal,
    onEvent: (event: GenerationEvent) => void = () => {},
    enough?: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    signal.throwIfAborted();
    if (this.#death) throw this.#death;
    const pixelBytes = [...pixelsOf(request.prompt)].reduce((sum, { byteLength }) => sum + byteLength, 0);
    const { clientId } = request;
    if (!request.isFollowUp) this.#refuseTooManyPictures(pixelBytes, clientId);
    const id = this.#nextId++ as SequenceId; // the only place that creates ids
    const unread = { events: [], taken: [], unreadBytes: 0 };
    const inbox: Inbox = { ...unread, clientId, isOpen: true, pixelBytes, hasEnded: false, onEvent, error: undefined, wake: () => {} };
    if (this.silentMs() === 0) this.#lastSignMs = monotonicMs();
    this.#pixelBytes += pixelBytes;
    const abort = (): void => this.#abort(id, signal.reason);
    const finish = (): void => this.#send({ type: "finish", id });
    this.#inboxes.set(id, inbox);
    signal.addEventListener("abort", abort, { once: true });
    enough?.addEventListener("abort", finish, { once: true });
    try {
      const copied = await copyPixels(request.prompt, () => !inbox.hasEnded);
      if (copied && !inbox.hasEnded) {
        const sent = { ...request, prompt: copied.prompt };
        this.#send({ type: "submit", id, request: sent, sentMs: monotonicMs() }, [
          ...copied.own,
          ...(request.constraint ? [request.constraint.port] : []),
        ]);
      }
      for (;;) {
        for (const event of await takeEvents(inbox)) {
          if (signal.aborted) break;
          if (isLast(event)) this.#remove(id);
          this.#countUnread(inbox, -byteLength(event));
          yield event;
          if (isLast(event)) return;
        }
      }
    } finally {
      signal.removeEventListener("abort", abort);
      enough?.removeEventListener("abort", finish);
      this.#abort(id, undefined);
    }
  }

  /** For how many milliseconds the engine has sent nothing although it has work; 0 if it has none. */
  silentMs(): number {
    const hasWork = [...this.#inboxes.values()].some(({ isOpen }) => isOpen);
    return hasWork ? monotonicMs() - this.#lastSignMs : 0;
  }

  /** Treats the engine as dead although its thread still exists: it may hang forever. */
  abandon(reason: string): void {
    this.#die(new EngineError(reason));
  }

  /** The engine's statistics after its last step. */
  stats(): EngineStats {
    return this.#stats;
  }

  /** Ends the engine's thread and resolves when it has ended. Requests that still run throw RequestError (503). */
  async close(): Promise<void> {
    this.#send({ type: "close" });
    this.#onDeath = () => {};
    this.#die(shuttingDown());
    await this.#ended;
  }

  /** Ends all requests. Only the first cause counts, because later ones follow from it. */
  #die(cause: Error): void {
    if (this.#death) return;
    const isOurs = cause instanceof EngineError || cause instanceof RequestError;
    this.#death = isOurs ? cause : new EngineError(`the engine thread failed: ${cause.message}`, { cause });
    for (const id of this.#inboxes.keys()) this.#end(id, this.#death);
    // Between threads an error keeps its name but not its class.
    this.#onDeath(cause.name === "UserError" ? new UserError(cause.message) : this.#death);
  }

  #send(message: ToEngine, transferred: readonly Transferable[] = []): void {
    this.#port.postMessage(message, transferred);
  }

  #receive(message: FromEngine): void {
    this.#lastSignMs = monotonicMs();
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

  /** Events without an inbox are ignored: the request was aborted while they were in transit. */
  #deliver(id: SequenceId, event: GenerationEvent): void {
    const inbox = this.#inboxes.get(id);
    if (!inbox) return;
    if (event.type !== "started") this.#releasePixels(inbox);
    inbox.isOpen = !isLast(event);
    inbox.onEvent(event);
    inbox.events.push(event);
    this.#countUnread(inbox, byteLength(event));
    inbox.wake();
    if (this.#unreadBytes > this.#unreadBytesLimit) this.#endSlowestReader();
  }

  #endSlowestReader(): void {
    const [id] = [...this.#inboxes].reduce((most, other) => (other[1].unreadBytes > most[1].unreadBytes ? other : most));
    this.#abort(id, readTooSlowly());
  }

  #countUnread(inbox: Inbox, bytes: number): void {
    inbox.unreadBytes += bytes;
    this.#unreadBytes += bytes;
  }

  /** Also those that a loop is going through, which ends it. */
  #dropEvents(inbox: Inbox): void {
    inbox.events = [];
    inbox.taken.length = 0;
    this.#countUnread(inbox, -inbox.unreadBytes);
  }

  /** Stops a request that is still open and drops its events. */
  #abort(id: SequenceId, reason: unknown): void {
    const inbox = this.#inboxes.get(id);
    if (!inbox) return;
    this.#dropEvents(inbox);
    this.#send({ type: "abort", id });
    this.#end(id, reason);
  }

  /** Throws RequestError over the limit, but always lets one request of each client in: the pictures of one request have limits of their own. */
  #refuseTooManyPictures(pixelBytes: number, clientId: string | undefined): void {
    if (pixelBytes === 0 || this.#pixelBytes + pixelBytes <= this.#pixelBytesLimit) return;
    if (![...this.#inboxes.values()].some((other) => other.clientId === clientId && other.pixelBytes > 0)) return;
    const message = `pictures of waiting requests take ${this.#pixelBytes} bytes already, and ${this.#pixelBytesLimit} is the limit; try again later`;
    throw new RequestError(message, { status: 429, code: "queue_full", retryAfterMs: retryPicturesMs });
  }

  #releasePixels(inbox: Inbox): void {
    this.#pixelBytes -= inbox.pixelBytes;
    inbox.pixelBytes = 0;
  }

  #remove(id: SequenceId): void {
    const inbox = this.#inboxes.get(id);
    if (inbox) this.#releasePixels(inbox);
    this.#inboxes.delete(id);
  }

  #end(id: SequenceId, error: unknown): void {
    const inbox = this.#inboxes.get(id);
    if (!inbox) return;
    this.#remove(id);
    inbox.error = error;
    inbox.hasEnded = true;
    inbox.wake();
  }
}

function isLast({ type }: GenerationEvent): boolean {
  return type === "finished" || type === "failed";
}

function byteLength(event: GenerationEvent): number {
  const logprobs = event.type === "token" && event.logprobs ? [event.logprobs] : event.type === "prompt-logprobs" ? event.logprobs : [];
  return bytesOfEvent * logprobs.reduce((sum, { top }) => sum + 1 + top.length, 1);
}

function readTooSlowly(): RequestError {
  const message = "the answer was read too slowly, and the server held as much for slow clients as it can; read faster, or ask for less";
  return new RequestError(message, { status: 408, code: "read_too_slowly" });
}

function shuttingDown(): RequestError {
  const message = "the server is shutting down before the answer is complete; send the request again";
  return new RequestError(message, { status: 503, code: "shutting_down", retryAfterMs: retryAfterRestartMs });
}

/** All events so far, at least one. Taken at once, because a slow client may have tens of thousands, and `shift` moves the rest of the array each time. */
async function takeEvents(inbox: Inbox): Promise<readonly GenerationEvent[]> {
  while (inbox.events.length === 0) {
    if (inbox.hasEnded) throw inbox.error;
    await new Promise<void>((resolve) => (inbox.wake = resolve));
  }
  inbox.taken = inbox.events;
  inbox.events = [];
  return inbox.taken;
}
