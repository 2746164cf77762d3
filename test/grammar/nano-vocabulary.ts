// The nano model's vocabulary, and answers drawn at random under a grammar's masks.

import { nanoModel } from "../../src/core/nano-model.ts";
import { type OutputConstraint, type OutputFormat, toolCallTokens } from "../../src/core/structured-output.ts";
import { controlSymbolStart } from "../../src/grammar/automaton.ts";
import { CompiledGrammar, Matcher } from "../../src/grammar/matcher.ts";
import { outputGrammar } from "../../src/grammar/output-grammar.ts";
import { buildTokenTrie, type GrammarVocabulary, readVocabulary } from "../../src/grammar/token-trie.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";

export const tokenizer = loadTokenizer(nanoModel);
export const endId = tokenizer.controlTokenId("</s>")!;
export const vocabulary: GrammarVocabulary = readVocabulary(tokenizer, 2048, [endId], Object.values(toolCallTokens));
const trie = buildTokenTrie(vocabulary, controlSymbolStart);

export function compile(format: OutputFormat, followsThinking = false): CompiledGrammar {
  return compileConstraint({ format, followsThinking });
}

export function compileConstraint(constraint: OutputConstraint): CompiledGrammar {
  return new CompiledGrammar(outputGrammar(constraint), vocabulary, trie, 32 * 2 ** 20);
}

/** Whether a form allows a text as a whole answer, in the tokens that the tokenizer splits it into. */
export function accepts(format: OutputFormat, text: string): boolean {
  const matcher = new Matcher(compile(format));
  return tokenizer.encodeTemplate(text).every((id) => matcher.accept(id)) && matcher.accept(endId);
}

export function allowedTokens(mask: Uint32Array): number[] {
  const ids: number[] = [];
  for (const [word, bits] of mask.entries()) {
    for (let bit = 0; bits >>> bit !== 0 && bit < 32; bit++) if ((bits >>> bit) & 1) ids.push(word * 32 + bit);
  }
  return ids;
}

/** A seeded random number generator, so that a failing answer can be reproduced. */
export function randomSource(seed: number): () => number {
  let state = (seed * 2_654_435_761 + 1) | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** The text of a token. Control tokens are spelled out. */
export function tokenText(id: number): Uint8Array {
  return tokenizer.tokenBytes(id);
}

/**
 * Draws tokens from the state `start` until the answer ends; undefined if it reaches the limit. Every third answer prefers a random subset of the
 * tokens. After half of the limit, closing tokens are preferred.
 */
export function drawAnswer(grammar: CompiledGrammar, seed: number, limit = 300, start = grammar.start): string | undefined {
  const random = randomSource(seed);
  const favourites = seed % 3 === 0 ? new Set(Array.from({ length: 300 }, () => Math.floor(random() * 2048))) : undefined;
  const matcher = new Matcher(grammar, start);
  const pieces: Uint8Array[] = [];
  for (let count = 0; count < limit; count++) {
    const allowed = allowedTokens(matcher.mask());
    if (allowed.length === 0) throw new Error(`no token is allowed after ${JSON.stringify(Buffer.concat(pieces).toString())}`);
    const id = choose(allowed, random, favourites, count > limit / 2);
    if (!matcher.accept(id)) throw new Error(`token ${id} is in the mask and not accepted`);
    if (matcher.hasEnded) return Buffer.concat(pieces).toString();
    pieces.push(tokenText(id));
  }
  return undefined;
}

function choose(allowed: number[], random: () => number, favourites: ReadonlySet<number> | undefined, isClosing: boolean): number {
  if (allowed.includes(endId) && (isClosing || random() < 0.3)) return endId;
  const chance = random();
  let preferred: number[] = [];
  if (isClosing) preferred = allowed.filter((id) => closing.has(id));
  else if (favourites && chance < 0.9) preferred = allowed.filter((id) => favourites.has(id));
  else if (chance < 0.15) preferred = allowed.filter((id) => goingOn.has(id));
  const pool = preferred.length > 0 ? preferred : allowed;
  return pool[Math.floor(random() * pool.length)]!;
}

function tokensLike(pattern: RegExp): ReadonlySet<number> {
  const ids = Array.from({ length: vocabulary.vocabSize }, (_, id) => id);
  return new Set(ids.filter((id) => pattern.test(Buffer.from(tokenText(id)).toString())));
}

/** Tokens that lead to the end of an answer, or at least out of a string. */
const closing = tokensLike(/^["}\]]+$/);
const goingOn = tokensLike(/^["}\],]/);
