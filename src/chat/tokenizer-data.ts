// The data of a tokenizer, whichever file it comes from: byte-fallback BPE with spaces written as ▁.

/** U+2581: how a space is written inside pieces. A ▁ in a text comes back as a space: the vocabulary cannot tell them apart. */
export const spaceSign = "▁";

/** Two pieces and when they join: lowest rank first, leftmost among equals. */
export type Merge = { readonly left: string; readonly right: string; readonly rank: number };

/** Matched before all other pieces; control tokens only in text that the template wrote. */
export type AddedToken = { readonly id: number; readonly content: string; readonly isControl: boolean };

/** Rewrites a text before it is split. */
export type Normalizer = {
  readonly apply: (text: string) => string;
  /** False if the text keeps its length. */
  readonly changesLength: boolean;
};

export type TokenizerData = {
  /** File it comes from, for error messages. */
  readonly path: string;
  /** Piece → id. A character that is no piece is written as byte pieces `<0x00>` … `<0xFF>`. */
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly merges: readonly Merge[];
  readonly addedTokens: readonly AddedToken[];
  readonly normalizer: Normalizer;
};

/** Added digits and spaces are ordinary text that must not merge. All longer added tokens are control tokens, however they are declared. */
export function isControlText(content: string): boolean {
  return [...content].length > 1 && content.replaceAll(spaceSign, " ").trim() !== "";
}
