// Controls one thread that compiles grammars and serves their masks. Compilations queue, and a thread that misses a deadline is replaced.

import { MessageChannel, type Worker } from "node:worker_threads";
import { EngineError, RequestError } from "../core/errors.ts";
import type { OutputConstraint } from "../core/structured-output.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";
import { WorkGate } from "../core/work-gate.ts";
import { untilRead } from "./beginning.ts";
import type { FromGrammarService, ToGrammarService } from "./grammar-service.ts";
import { createMaskMemory } from "./mask-exchange.ts";
import { fromFailure } from "./service-failure.ts";
import type { GrammarVocabulary } from "./token-trie.ts";

/** `compileMs` excludes the time in the queue. */
type Opened = { readonly handle: ConstraintHandle; readonly compileMs: number };

export type GrammarThreadOptions = {
  /** Compilations that may wait, and beginnings of answers that may; clients share it. */
  readonly maxWaiting: number;
  readonly compileTimeoutMs: number;
  readonly createWorker: (vocabulary: GrammarVocabulary) => Worker;
};

/** Beginnings of answers that one thread reads in alternation. */
const maxReadings = 16;

export class GrammarThread {
  readonly #vocabulary: GrammarVocabulary;
  readonly #options: GrammarThreadOptions;
  #worker: Worker | undefined;
  /** See ConstraintHandle. */
  #ended = new SharedArrayBuffer(4);
  /** Resolves when the thread takes messages. */
  #ready: Promise<void> = Promise.resolve();
  /** One compilation at a time. */
  readonly #compilations: WorkGate;
  readonly #readings: WorkGate;
  #nextId = 0;
  #isClosed = false;

  constructor(vocabulary: GrammarVocabulary, options: GrammarThreadOptions) {
    this.#vocabulary = vocabulary;
    this.#options = options;
    this.#compilations = new WorkGate(1, options.maxWaiting);
    this.#readings = new WorkGate(maxReadings, options.maxWaiting);
  }

  /** Starts the thread unless it runs. */
  start(): Worker {
    if (this.#worker) return this.#worker;
    const worker = this.#options.createWorker(this.#vocabulary);
    worker.unref();
    worker.on("error", () => {}); // nextMessage reports the error to whoever waits
    const ended = (this.#ended = new SharedArrayBuffer(4));
    worker.once("exit", () => {
      Atomics.store(new Int32Array(ended), 0, 1);
      if (this.#worker === worker) this.#worker = undefined;
    });
    this.#ready = nextMessage(worker).then(() => {});
    this.#ready.catch(() => {});
    return (this.#worker = worker);
  }

  /**
   * Throws RequestError if the constraint is malformed, contradicts itself or takes too long, if no answer has its beginning, or if too many wait;
   * and the signal's reason if it aborts before its turn.
   */
  async open(constraint: OutputConstraint, signal: AbortSignal): Promise<Opened> {
    const compile = () => admit(this.#compilations, () => this.#openNext(constraint), signal);
    if (!constraint.begun) return compile();
    const compileAndRead = async () => {
      const opened = await compile();
      await untilRead(opened.handle.port, signal);
      return opened;
    };
    return admit(this.#readings, compileAndRead, signal);
  }

  /** Ends the thread. Running answers get no more masks. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#stop();
  }

  async #openNext(constraint: OutputConstraint): Promise<Opened> {
    if (this.#isClosed) throw new EngineError("the grammar service was closed");
    const worker = this.start();
    await this.#ready;
    const { port1, port2 } = new MessageChannel();
    const shared = createMaskMemory(this.#vocabulary.vocabSize);
    const ended = this.#ended;
    const message: ToGrammarService = { id: this.#nextId++, constraint, port: port2, shared };
    const start = performance.now();
    const answer = await this.#exchange(worker, message);
    const compileMs = performance.now() - start;
    if (answer.type === "opened") return { handle: { port: port1, shared, ended }, compileMs };
    port1.close();
    throw answer.type === "ready" ? new EngineError("the grammar service failed: unexpected message") : fromFailure(answer);
  }

  /** The thread's reply. If it is late or the thread dies, a new thread is started for the next compilation. */
  async #exchange(worker: Worker, message: ToGrammarService): Promise<FromGrammarService> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), this.#options.compileTimeoutMs);
    });
    const answered = nextMessage(worker);
    worker.postMessage(message, [message.port]);
    try {
      const answer = await Promise.race([answered, late]);
      if (answer !== "late") return answer;
    } catch (error) {
      await this.#stop();
      throw error;
    } finally {
      clearTimeout(timer);
      answered.catch(() => {});
    }
    await this.#stop();
    const seconds = this.#options.compileTimeoutMs / 1000;
    throw new RequestError(`the schema or grammar took more than ${seconds} s to compile; simplify it`, { code: "grammar_too_complex" });
  }

  async #stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}

function admit<T>(gate: WorkGate, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  if (!gate.isFull) return gate.run(work, signal);
  const message = "too many requests wait for their grammar to be compiled; try again later";
  throw new RequestError(message, { status: 429, code: "server_busy", retryAfterMs: 1_000 });
}

function nextMessage(worker: Worker): Promise<FromGrammarService> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: FromGrammarService): void => settle(() => resolve(message));
    const onError = (error: Error): void =>
      settle(() => reject(new EngineError(`the grammar thread failed: ${error.message}`, { cause: error })));
    const onExit = (): void => settle(() => reject(new EngineError("the grammar thread has ended")));
    const settle = (done: () => void): void => {
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      done();
    };
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
  });
}
