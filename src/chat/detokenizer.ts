// Token ids → text, a token at a time. Never shows half a character.

import type { Tokenizer } from "./tokenizer.ts";

/** The pieces of text add up to what decoding all tokens at once gives. Special tokens give none, unless they are to be spelled. */
export class Detokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #spellsSpecials: boolean;
  // Keeps the bytes of an unfinished character. A byte order mark is text like any other.
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(tokenizer: Tokenizer, spellsSpecials = false) {
    this.#tokenizer = tokenizer;
    this.#spellsSpecials = spellsSpecials;
  }

  /** The characters that this token completes. */
  push(tokenId: number): string {
    if (this.#tokenizer.isSpecial(tokenId) && !this.#spellsSpecials) return "";
    return this.#decoder.decode(this.#tokenizer.tokenBytes(tokenId), { stream: true });
  }

  /** What is left: U+FFFD for a character that never became complete. The detokenizer is as new afterwards. */
  flush(): string {
    return this.#decoder.decode();
  }
}
