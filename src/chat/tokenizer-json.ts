// Reads `tokenizer.json`. Only byte-fallback BPE with spaces written as ▁ is supported; anything else is refused, never guessed.

import { z } from "zod";
import { UserError } from "../core/errors.ts";
import { readJsonIfThere } from "../core/read-json.ts";
import { isControlText, spaceSign, type TokenizerData } from "./tokenizer-data.ts";

const spaceReplacement = z.object({
  type: z.literal("Replace"),
  pattern: z.object({ String: z.literal(" ") }),
  content: z.literal(spaceSign),
});
const normalizer = z.union(
  [z.null(), spaceReplacement, z.object({ type: z.literal("Sequence"), normalizers: z.tuple([spaceReplacement]) })],
  `none or one that replaces " " by "${spaceSign}"; other normalizers are not supported`,
);
const preTokenizer = z.union(
  [
    z.null(),
    z.object({
      type: z.literal("Metaspace"),
      replacement: z.literal(spaceSign),
      prepend_scheme: z.literal("never"),
      split: z.literal(false),
    }),
  ],
  "none or Metaspace with prepend_scheme never and split false; other pre-tokenizers are not supported",
);
const piece = z.string().min(1);
const pair = z.union([z.tuple([piece, piece]), z.string().transform(splitPair)], 'two pieces: ["a", "b"] or "a b"');
/** Ids index arrays: a bound keeps a broken file from asking for all memory. */
export const tokenId = z.int("a token id").min(0, "a token id").max(0xff_ffff, "a token id below 16777216");

// Not z.record, which drops a piece that is spelled `__proto__`.
const vocabulary = z.custom<Record<string, number>>(isVocabulary, "an object of token ids by piece");

const tokenizerSchema = z.object({
  normalizer: normalizer.default(null),
  pre_tokenizer: preTokenizer.default(null),
  added_tokens: z.array(z.object({ id: tokenId, content: z.string().min(1), special: z.boolean().default(false) })).default([]),
  model: z.object({
    type: z.literal("BPE", "BPE, the only kind supported"),
    byte_fallback: z.literal(true, "true: without byte fallback, some text has no tokens"),
    ignore_merges: z.literal(false, "false").nullish(),
    continuing_subword_prefix: z.literal("", "none").nullish(),
    end_of_word_suffix: z.literal("", "none").nullish(),
    dropout: z.literal(0, "none").nullish(),
    unk_token: z.string().nullish(),
    vocab: vocabulary,
    merges: z.array(pair),
  }),
});

/** Undefined when there is no such file. Throws UserError. */
export function readTokenizerJson(path: string): TokenizerData | undefined {
  const file = readJsonIfThere(path, tokenizerSchema);
  if (file === undefined) return undefined;
  if (file.normalizer === null && file.pre_tokenizer === null) {
    throw new UserError(`${path}: expected a normalizer or pre-tokenizer that writes spaces as "${spaceSign}", got neither`);
  }
  const { unk_token: unknownToken, vocab, merges } = file.model;
  const vocabulary = new Map(Object.entries(vocab));
  merges.forEach(([left, right], index) => {
    if (vocabulary.has(left) && vocabulary.has(right) && vocabulary.has(left + right)) return;
    throw new UserError(`${path}: model.merges.${index}: ${JSON.stringify([left, right])} has a piece that is not in model.vocab`);
  });
  const addedTokens = file.added_tokens.map(({ id, content, special }) => ({ id, content, isControl: special || isControlText(content) }));
  const unknownId = vocabulary.get(unknownToken ?? "");
  if (unknownToken && unknownId !== undefined) addedTokens.push({ id: unknownId, content: unknownToken, isControl: true });
  // Added tokens are matched in the original text; the tokenizer itself then writes spaces as ▁.
  const normalizer = { apply: (text: string) => text, changesLength: false };
  return { path, vocabulary, merges: merges.map(([left, right], rank) => ({ left, right, rank })), addedTokens, normalizer };
}

function isVocabulary(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.values(value).every((id) => tokenId.safeParse(id).success);
}

function splitPair(line: string, context: z.RefinementCtx): [string, string] {
  const [left, right, ...rest] = line.split(" ");
  if (left && right && rest.length === 0) return [left, right];
  context.addIssue({ code: "custom", message: "not a pair" });
  return z.NEVER;
}
