// The server's end of the grammar service: one constraint after the other is compiled, each within a deadline; a thread that misses it
// is ended and replaced.

import { MessageChannel, Worker } from "node:worker_threads";
import { EngineError, RequestError } from "../core/errors.ts";
import type { OutputConstraint } from "../core/structured-output.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";
import type { FromGrammarService, ToGrammarService } from "./grammar-service.ts";
import { createMaskMemory } from "./mask-exchange.ts";
import { checkSize } from "./output-grammar.ts";
import type { GrammarVocabulary } from "./token-trie.ts";

export type OpenedConstraint = {
  /** For the engine. Close its port when the request does not get there. */
  readonly handle: ConstraintHandle;
  /** Paths of schema keywords that are not enforced. */
  readonly ignored: readonly string[];
};

export type GrammarClientOptions = {
  readonly compileTimeoutMs: number;
  readonly maxWaiting: number;
  /** Starts the thread; tests start others. */
  readonly createWorker: (vocabulary: GrammarVocabulary) => Worker;
};

const defaults: GrammarClientOptions = {
  compileTimeoutMs: 2_000,
  maxWaiting: 256,
  createWorker: (vocabulary) => new Worker(new URL("./grammar-worker.js", import.meta.url), { workerData: vocabulary, name: "grammar" }),
};

export class GrammarClient {
  readonly #vocabulary: GrammarVocabulary;
  readonly #options: GrammarClientOptions;
  #worker: Worker | undefined;
  /** See ConstraintHandle. */
  #ended = new SharedArrayBuffer(4);
  /** Resolves when the thread takes messages. */
  #ready: Promise<void> = Promise.resolve();
  /** The last compilation in the queue. */
  #queue: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #nextId = 0;
  #isClosed = false;

  constructor(vocabulary: GrammarVocabulary, options: Partial<GrammarClientOptions> = {}) {
    this.#vocabulary = vocabulary;
    this.#options = { ...defaults, ...options };
  }

  /**
   * Compiles a constraint, or finds it compiled. Throws RequestError when it is malformed, contradicts itself, takes too long, or
   * when too many wait.
   */
  async open(constraint: OutputConstraint): Promise<OpenedConstraint> {
    checkSize(constraint.format);
    if (this.#waiting >= this.#options.maxWaiting) {
      throw new RequestError("too many requests wait for their grammar to be compiled; try again later", {
        status: 429,
        retryAfterMs: 1_000,
      });
    }
    this.#waiting++;
    const turn = this.#queue.then(() => this.#openNext(constraint));
    this.#queue = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#waiting--;
    }
  }

  /** Ends the thread; answers under way get no more masks. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#stop();
  }

  async #openNext(constraint: OutputConstraint): Promise<OpenedConstraint> {
    if (this.#isClosed) throw new EngineError("the grammar service was closed");
    const worker = (this.#worker ??= this.#start());
    await this.#ready;
    const { port1, port2 } = new MessageChannel();
    const shared = createMaskMemory(this.#vocabulary.vocabSize);
    const ended = this.#ended;
    const message: ToGrammarService = { id: this.#nextId++, constraint, port: port2, shared };
    const answer = await this.#exchange(worker, message);
    if (answer.type === "opened") return { handle: { port: port1, shared, ended }, ignored: answer.ignored };
    port1.close();
    if (answer.type === "refused") throw new RequestError(answer.message, answer.options);
    throw new EngineError(`the grammar service failed: ${answer.type === "failed" ? answer.message : "unexpected message"}`);
  }

  /** The thread's answer. When it is late or the thread dies, there will be another thread for the next. */
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

  #start(): Worker {
    const worker = this.#options.createWorker(this.#vocabulary);
    worker.unref();
    worker.on("error", () => {}); // whoever waits is told by nextMessage
    const ended = (this.#ended = new SharedArrayBuffer(4));
    worker.once("exit", () => {
      Atomics.store(new Int32Array(ended), 0, 1);
      if (this.#worker === worker) this.#worker = undefined;
    });
    this.#ready = nextMessage(worker).then(() => {});
    this.#ready.catch(() => {});
    return worker;
  }

  async #stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
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
