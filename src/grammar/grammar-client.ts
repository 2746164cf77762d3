// The server's side of grammars. A new grammar is first compiled in a thread that serves no masks, so that one that takes long delays nobody. Then
// it is compiled again in a thread that serves masks; slow grammars have one of their own, because compiling delays the masks of its thread.

import { Worker } from "node:worker_threads";
import { LRUCache } from "lru-cache";
import { RequestError, toRefusal } from "../core/errors.ts";
import type { OutputConstraint } from "../core/structured-output.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";
import { GrammarThread, type GrammarThreadOptions } from "./grammar-thread.ts";
import { checkSize, formatParam, grammarKey } from "./output-grammar.ts";
import type { GrammarVocabulary } from "./token-trie.ts";

export type GrammarClientOptions = GrammarThreadOptions & {
  /** Grammars that compile in less time are served by the quick thread, others by the slow one. */
  readonly quickCompileMs: number;
};

const defaults: GrammarClientOptions = {
  compileTimeoutMs: 2_000,
  maxWaiting: 256,
  quickCompileMs: 50,
  createWorker: (vocabulary) => new Worker(new URL("./grammar-worker.js", import.meta.url), { workerData: vocabulary, name: "grammar" }),
};

const maxKnownGrammars = 4096;
/** How much longer a repeated compilation may take: a grammar that compiled in time once must not fail because the machine is busier now. */
const graceFactor = 5;

export class GrammarClient {
  readonly #options: GrammarClientOptions;
  /** Compiles new grammars. */
  readonly #trial: GrammarThread;
  /** These two serve the masks of grammars that compile quickly and slowly. */
  readonly #quick: GrammarThread;
  readonly #slow: GrammarThread;
  /** Hash of a compiled constraint → the thread that serves it. */
  readonly #known = new LRUCache<string, GrammarThread>({ max: maxKnownGrammars });

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
   * Compiles a constraint, or finds it compiled. The caller must close its port if the request does not reach the engine. Throws RequestError if
   * the constraint is malformed, contradicts itself or takes too long, if no answer has its beginning, or if too many wait. Throws the signal's
   * reason if it aborts while waiting.
   */
  async open(constraint: OutputConstraint, signal: AbortSignal): Promise<ConstraintHandle> {
    try {
      checkSize(constraint.format);
      return await this.#openInThread(constraint, signal);
    } catch (error) {
      throw inField(error, formatParam(constraint.format));
    }
  }

  /** Ends the threads. Running answers get no more masks. */
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

/** Adds what the grammar leaves out of its errors: the code, and the field where the form as a whole is at fault. */
function inField(error: unknown, param: string | undefined): unknown {
  if (!(error instanceof RequestError) || error.status !== 400) return error;
  const { message, options } = toRefusal(error);
  const coded = { ...options, code: options.code ?? "invalid_value" };
  return param === undefined || error.param !== undefined
    ? new RequestError(message, coded)
    : new RequestError(`${param}: ${message}`, { ...coded, param });
}
