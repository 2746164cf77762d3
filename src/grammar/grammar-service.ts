// The grammar's thread: compiles what requests demand, keeps what was compiled, and serves masks.

import { createHash } from "node:crypto";
import type { MessagePort } from "node:worker_threads";
import { type Refusal, RequestError, toRefusal } from "../core/errors.ts";
import type { OutputConstraint } from "../core/structured-output.ts";
import { controlSymbolStart } from "./automaton.ts";
import { serveMatcher } from "./mask-exchange.ts";
import { CompiledGrammar } from "./matcher.ts";
import { outputGrammar } from "./output-grammar.ts";
import { buildTokenTrie, type GrammarVocabulary, type TokenTrie } from "./token-trie.ts";

export type ToGrammarService = {
  readonly id: number;
  readonly constraint: OutputConstraint;
  readonly port: MessagePort;
  readonly shared: SharedArrayBuffer;
};

export type FromGrammarService =
  | { readonly type: "ready" }
  | { readonly type: "opened"; readonly id: number }
  | ({ readonly type: "refused"; readonly id: number } & Refusal)
  | { readonly type: "failed"; readonly id: number; readonly message: string };

type GrammarLimits = {
  readonly maxGrammars: number;
  /** Of all compiled grammars together; the one in use may go beyond by its own share. */
  readonly maxCacheBytes: number;
};

const defaultGrammarLimits: GrammarLimits = { maxGrammars: 128, maxCacheBytes: 256 * 2 ** 20 };
/** A grammar forgets its states beyond this part of all memory. */
const grammarShare = 1 / 8;

/** Compiled grammars by what was demanded, least recently used first. */
export class GrammarCache {
  readonly #vocabulary: GrammarVocabulary;
  readonly #trie: TokenTrie;
  readonly #limits: GrammarLimits;
  readonly #grammars = new Map<string, CompiledGrammar>();

  constructor(vocabulary: GrammarVocabulary, limits: GrammarLimits = defaultGrammarLimits) {
    this.#vocabulary = vocabulary;
    this.#trie = buildTokenTrie(vocabulary, controlSymbolStart);
    this.#limits = limits;
  }

  get grammarCount(): number {
    return this.#grammars.size;
  }

  /** Estimate of what the grammars occupy. */
  get bytes(): number {
    return [...this.#grammars.values()].reduce((sum, grammar) => sum + grammar.bytes, 0);
  }

  /** Throws RequestError. */
  compile(constraint: OutputConstraint): CompiledGrammar {
    const key = createHash("sha256").update(JSON.stringify(constraint)).digest("base64");
    const maxBytes = this.#limits.maxCacheBytes * grammarShare;
    const grammar = this.#grammars.get(key) ?? new CompiledGrammar(outputGrammar(constraint), this.#vocabulary, this.#trie, maxBytes);
    this.#grammars.delete(key);
    this.#grammars.set(key, grammar);
    this.#evict();
    return grammar;
  }

  /** Grammars in use live on with their answers. */
  #evict(): void {
    let { bytes } = this;
    for (const [key, grammar] of this.#grammars) {
      if (this.#grammars.size <= 1 || (bytes <= this.#limits.maxCacheBytes && this.#grammars.size <= this.#limits.maxGrammars)) return;
      this.#grammars.delete(key);
      bytes -= grammar.bytes;
    }
  }
}

/** Opens one constraint; the answer tells how it went. Never throws. */
export function openConstraint(cache: GrammarCache, { id, constraint, port, shared }: ToGrammarService): FromGrammarService {
  try {
    serveMatcher(cache.compile(constraint), port, shared);
    return { type: "opened", id };
  } catch (error) {
    port.close();
    if (error instanceof RangeError)
      return { type: "refused", id, message: "the schema or grammar is nested too deeply; simplify it", options: {} };
    if (!(error instanceof RequestError)) return { type: "failed", id, message: error instanceof Error ? error.message : String(error) };
    return { type: "refused", id, ...toRefusal(error) };
  }
}
