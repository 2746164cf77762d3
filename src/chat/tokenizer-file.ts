// What this program takes from `tokenizer.json`: a byte-fallback BPE with spaces written as ▁. Anything else is refused, never guessed.

import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../core/errors.ts";
import { readJson, readJsonIfThere } from "./model-files.ts";

/** U+2581: how a space is written inside pieces. */
export const spaceSign = "▁";

export type AddedToken = { readonly id: number; readonly content: string; readonly isControl: boolean };

export type TokenizerFile = {
  readonly path: string;
  /** Piece → id, without the tokens that were only added. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Pairs of pieces in order of rank. */
  readonly merges: readonly (readonly [string, string])[];
  readonly addedTokens: readonly AddedToken[];
};

const spaceReplacement = z.object({
  type: z.literal("Replace"),
  pattern: z.object({ String: z.literal(" ") }),
  content: z.literal(spaceSign),
});
const normalizer = z.union(
  [z.null(), spaceReplacement, z.object({ type: z.literal("Sequence"), normalizers: z.tuple([spaceReplacement]) })],
  `expected none or one that replaces " " by "${spaceSign}"; other normalizers are not supported`,
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
  "expected none or Metaspace with prepend_scheme never and split false; other pre-tokenizers are not supported",
);
const piece = z.string().min(1);
const pair = z.union([z.tuple([piece, piece]), z.string().transform(splitPair)], 'expected two pieces: ["a", "b"] or "a b"');
const tokenId = z.int("expected a token id").min(0, "expected a token id");

// Not z.record, which drops a piece that is spelled `__proto__`.
const vocabulary = z.custom<Record<string, number>>(isVocabulary, "expected an object of token ids by piece");

const tokenizerSchema = z.object({
  normalizer: normalizer.default(null),
  pre_tokenizer: preTokenizer.default(null),
  added_tokens: z.array(z.object({ id: tokenId, content: z.string().min(1), special: z.boolean().default(false) })).default([]),
  model: z.object({
    type: z.literal("BPE", "expected BPE, the only kind supported"),
    byte_fallback: z.literal(true, "expected true: without byte fallback, some text has no tokens"),
    ignore_merges: z.literal(false, "expected false").nullish(),
    continuing_subword_prefix: z.literal("", "expected none").nullish(),
    end_of_word_suffix: z.literal("", "expected none").nullish(),
    dropout: z.literal(0, "expected none").nullish(),
    unk_token: z.string().nullish(),
    vocab: vocabulary,
    merges: z.array(pair),
  }),
});

const tokenizerConfigSchema = z.object({
  added_tokens_decoder: z.record(z.string(), z.object({ content: z.string().min(1), special: z.boolean().default(false) })).default({}),
});

/** Reads tokenizer.json and the added tokens of tokenizer_config.json, if that is there. Throws UserError. */
export function readTokenizerFile(folder: string): TokenizerFile {
  const path = join(folder, "tokenizer.json");
  const file = readJson(path, tokenizerSchema);
  if (file.normalizer === null && file.pre_tokenizer === null) {
    throw new UserError(`${path}: expected a normalizer or pre-tokenizer that writes spaces as "${spaceSign}", got neither`);
  }
  const config = readJsonIfThere(join(folder, "tokenizer_config.json"), tokenizerConfigSchema);
  const addedTokens = new Map<string, AddedToken>();
  const add = (id: number, content: string, special: boolean) => {
    if (!addedTokens.has(content)) addedTokens.set(content, { id, content, isControl: special || isControlText(content) });
  };
  const { unk_token: unknownToken, vocab, merges } = file.model;
  for (const { id, content, special } of file.added_tokens) add(id, content, special);
  for (const [id, { content, special }] of Object.entries(config?.added_tokens_decoder ?? {})) add(Number(id), content, special);
  const unknownId = unknownToken ? vocab[unknownToken] : undefined;
  if (unknownToken && unknownId !== undefined) add(unknownId, unknownToken, true);
  return { path, vocabulary: new Map(Object.entries(vocab)), merges, addedTokens: [...addedTokens.values()] };
}

/** Added digits and blanks are ordinary text that only must not merge; everything longer frames prompts, whatever its `special` flag. */
function isControlText(content: string): boolean {
  return [...content].length > 1 && content.trim() !== "";
}

function isVocabulary(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.values(value).every((id) => Number.isInteger(id) && id >= 0);
}

function splitPair(line: string, context: z.RefinementCtx): [string, string] {
  const [left, right, ...rest] = line.split(" ");
  if (left && right && rest.length === 0) return [left, right];
  context.addIssue({ code: "custom", message: "not a pair" });
  return z.NEVER;
}
