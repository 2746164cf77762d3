// The server's end of the grammars. A new one is tried in a thread that serves no answer: one that takes long, or for ever, costs nobody
// a mask. What compiles slowly, though, holds up the masks of its thread each time, so it has another than what compiles quickly.

import { Worker } from "node:worker_threads";
import { LRUCache } from "lru-cache";
import { RequestError, toRefusal } from "../core/errors.ts";
import type { OutputConstraint } from "../core/structured-output.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";
import { GrammarThread, type GrammarThreadOptions } from "./grammar-thread.ts";
import { checkSize, formatParam, grammarKey } from "./output-grammar.ts";
import type { GrammarVocabulary } from "./token-trie.ts";

export type GrammarClientOptions = GrammarThreadOptions & {
  readonly maxWaiting: number;
  /** What compiles in less is served by the thread that most masks come from. */
  readonly quickCompileMs: number;
};

const defaults: GrammarClientOptions = {
  compileTimeoutMs: 2_000,
  maxWaiting: 256,
  quickCompileMs: 50,
  createWorker: (vocabulary) => new Worker(new URL("./grammar-worker.js", import.meta.url), { workerData: vocabulary, name: "grammar" }),
};

const maxKnownGrammars = 4096;
/** A grammar that was compiled in time once is not to be refused, nor its thread ended, because the machine is busier now. */
const graceFactor = 5;

export class GrammarClient {
  readonly #options: GrammarClientOptions;
  /** Compiles what was never seen. */
  readonly #trial: GrammarThread;
  /** These two serve what compiles quickly and what does not. */
  readonly #quick: GrammarThread;
  readonly #slow: GrammarThread;
  /** Hash of a constraint that was compiled → the thread that serves it. */
  readonly #known = new LRUCache<string, GrammarThread>({ max: maxKnownGrammars });
  #waiting = 0;

  constructor(vocabulary: GrammarVocabulary, options: Partial<GrammarClientOptions> = {}) {
    this.#options = { ...defaults, ...options };
    const { compileTimeoutMs } = this.#options;
    const patient = { ...this.#options, compileTimeoutMs: graceFactor * compileTimeoutMs };
    this.#trial = new GrammarThread(vocabulary, this.#options);
    this.#quick = new GrammarThread(vocabulary, patient);
    this.#slow = new GrammarThread(vocabulary, patient);
    this.#quick.start(); // while the first grammar is tried
  }

  /**
   * Compiles a constraint, or finds it compiled. Its port is to be closed when the request does not get to the engine. Throws RequestError
   * when the constraint is malformed, contradicts itself, takes too long, has a beginning that is none of its answers', or when too many
   * wait, and the signal's reason when it aborts while it waits.
   */
  async open(constraint: OutputConstraint, signal: AbortSignal): Promise<ConstraintHandle> {
    checkSize(constraint.format);
    if (this.#waiting >= this.#options.maxWaiting) {
      throw new RequestError("too many requests wait for their grammar to be compiled; try again later", {
        status: 429,
        retryAfterMs: 1_000,
      });
    }
    this.#waiting++;
    try {
      return await this.#openInThread(constraint, signal);
    } catch (error) {
      throw inField(error, formatParam(constraint.format));
    } finally {
      this.#waiting--;
    }
  }

  /** Ends the threads; answers under way get no more masks. */
  async close(): Promise<void> {
    await Promise.all([this.#trial, this.#quick, this.#slow].map((thread) => thread.close()));
  }

  async #openInThread(constraint: OutputConstraint, signal: AbortSignal): Promise<ConstraintHandle> {
    const key = grammarKey(constraint);
    let thread = this.#known.get(key);
    if (!thread) {
      const { handle, compileMs } = await this.#trial.open({ ...constraint, begun: undefined }, signal);
      handle.port.close();
      thread = compileMs > this.#options.quickCompileMs ? this.#slow : this.#quick;
      this.#known.set(key, thread);
    }
    return (await thread.open(constraint, signal)).handle;
  }
}

/** What is wrong with a form as a whole is found where nobody knows its place in the request. */
function inField(error: unknown, param: string | undefined): unknown {
  if (!(error instanceof RequestError) || error.status !== 400 || error.param !== undefined || param === undefined) return error;
  const { message, options } = toRefusal(error);
  return new RequestError(`${param}: ${message}`, { ...options, param });
}
