// The server's end of the grammars. A new one is tried in a thread of its own first: while one takes long, or for ever, the masks of
// answers under way keep coming.

import { createHash } from "node:crypto";
import { Worker } from "node:worker_threads";
import { LRUCache } from "lru-cache";
import { RequestError } from "../core/errors.ts";
import type { OutputConstraint } from "../core/structured-output.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";
import { GrammarThread, type GrammarThreadOptions } from "./grammar-thread.ts";
import { checkSize } from "./output-grammar.ts";
import type { GrammarVocabulary } from "./token-trie.ts";

export type GrammarClientOptions = GrammarThreadOptions & {
  readonly maxWaiting: number;
  /** What compiles in less is compiled once more where most masks come from. */
  readonly quickCompileMs: number;
};

const defaults: GrammarClientOptions = {
  compileTimeoutMs: 2_000,
  maxWaiting: 256,
  quickCompileMs: 50,
  createWorker: (vocabulary) => new Worker(new URL("./grammar-worker.js", import.meta.url), { workerData: vocabulary, name: "grammar" }),
};

const maxQuickGrammars = 4096;

export class GrammarClient {
  readonly #options: GrammarClientOptions;
  /** Serves the grammars that compile quickly. */
  readonly #main: GrammarThread;
  /** Compiles what was never seen, and serves what compiles slowly. */
  readonly #trial: GrammarThread;
  /** Hashes of constraints that compile quickly. */
  readonly #quick = new LRUCache<string, true>({ max: maxQuickGrammars });
  #waiting = 0;

  constructor(vocabulary: GrammarVocabulary, options: Partial<GrammarClientOptions> = {}) {
    this.#options = { ...defaults, ...options };
    this.#main = new GrammarThread(vocabulary, this.#options);
    this.#trial = new GrammarThread(vocabulary, this.#options);
    this.#main.start(); // while the first grammar is tried
  }

  /**
   * Compiles a constraint, or finds it compiled. Its port is to be closed when the request does not get to the engine. Throws RequestError
   * when the constraint is malformed, contradicts itself, takes too long, or when too many wait, and the signal's reason when it aborts
   * while it waits.
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
    } finally {
      this.#waiting--;
    }
  }

  /** Ends the threads; answers under way get no more masks. */
  async close(): Promise<void> {
    await Promise.all([this.#main.close(), this.#trial.close()]);
  }

  async #openInThread(constraint: OutputConstraint, signal: AbortSignal): Promise<ConstraintHandle> {
    const key = createHash("sha256").update(JSON.stringify(constraint)).digest("base64");
    if (!this.#quick.get(key)) {
      const { handle, compileMs } = await this.#trial.open(constraint, signal);
      if (compileMs > this.#options.quickCompileMs) return handle;
      this.#quick.set(key, true);
      handle.port.close();
    }
    return (await this.#main.open(constraint, signal)).handle;
  }
}
