// The grammar's thread: compiles what requests demand, keeps what was compiled, and serves masks.

import { createHash } from "node:crypto";
import type { MessagePort } from "node:worker_threads";
import { RequestError, type RequestErrorOptions } from "../core/errors.ts";
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
  | { readonly type: "opened"; readonly id: number; readonly ignored: readonly string[] }
  | { readonly type: "refused"; readonly id: number; readonly message: string; readonly options: Omit<RequestErrorOptions, "cause"> }
  | { readonly type: "failed"; readonly id: number; readonly message: string };

export type GrammarLimits = {
  readonly maxGrammars: number;
  /** Of all compiled grammars together; the one in use may go beyond by its own share. */
  readonly maxCacheBytes: number;
};

const defaultGrammarLimits: GrammarLimits = { maxGrammars: 128, maxCacheBytes: 256 * 2 ** 20 };
/** A grammar forgets its states beyond this part of all memory. */
const grammarShare = 1 / 8;

type Entry = { readonly grammar: CompiledGrammar; readonly ignored: readonly string[] };

/** Compiled grammars by what was demanded, least recently used first. */
export class GrammarCache {
  readonly #vocabulary: GrammarVocabulary;
  readonly #trie: TokenTrie;
  readonly #limits: GrammarLimits;
  readonly #entries = new Map<string, Entry>();

  constructor(vocabulary: GrammarVocabulary, limits: GrammarLimits = defaultGrammarLimits) {
    this.#vocabulary = vocabulary;
    this.#trie = buildTokenTrie(vocabulary, controlSymbolStart);
    this.#limits = limits;
  }

  get grammarCount(): number {
    return this.#entries.size;
  }

  get cacheBytes(): number {
    return [...this.#entries.values()].reduce((sum, { grammar }) => sum + grammar.cacheBytes, 0);
  }

  /** Throws RequestError. */
  compile(constraint: OutputConstraint): Entry {
    const key = createHash("sha256").update(JSON.stringify(constraint)).digest("base64");
    let entry = this.#entries.get(key);
    this.#entries.delete(key);
    if (!entry) {
      const { ignored, ...grammar } = outputGrammar(constraint);
      entry = { grammar: new CompiledGrammar(grammar, this.#vocabulary, this.#trie, this.#limits.maxCacheBytes * grammarShare), ignored };
    }
    this.#entries.set(key, entry);
    this.#evict();
    return entry;
  }

  /** Grammars in use live on with their answers. */
  #evict(): void {
    let bytes = this.cacheBytes;
    for (const [key, { grammar }] of this.#entries) {
      if (this.#entries.size <= 1 || (bytes <= this.#limits.maxCacheBytes && this.#entries.size <= this.#limits.maxGrammars)) return;
      this.#entries.delete(key);
      bytes -= grammar.cacheBytes;
    }
  }
}

/** Opens one constraint; the answer tells how it went. Never throws. */
export function openConstraint(cache: GrammarCache, { id, constraint, port, shared }: ToGrammarService): FromGrammarService {
  try {
    const { grammar, ignored } = cache.compile(constraint);
    serveMatcher(grammar, port, shared);
    return { type: "opened", id, ignored };
  } catch (error) {
    port.close();
    if (error instanceof RangeError)
      return { type: "refused", id, message: "the schema or grammar is nested too deeply; simplify it", options: {} };
    if (!(error instanceof RequestError)) return { type: "failed", id, message: error instanceof Error ? error.message : String(error) };
    const { message, status, code, param } = error;
    return {
      type: "refused",
      id,
      message,
      options: { status, ...(code !== undefined && { code }), ...(param !== undefined && { param }) },
    };
  }
}
