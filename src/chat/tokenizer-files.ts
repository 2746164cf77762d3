// Reads the tokenizer of a model folder: `tokenizer.json`, else a SentencePiece model, plus the tokens that other JSON files add.

import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../core/errors.ts";
import { readJsonIfThere } from "../core/read-json.ts";
import { namedTokens, tokenText } from "./model-files.ts";
import { readSentencePieceModel } from "./sentencepiece-model.ts";
import { type AddedToken, isControlText, type TokenizerData } from "./tokenizer-data.ts";
import { readTokenizerJson, tokenId } from "./tokenizer-json.ts";

/** The names under which ERNIE's SentencePiece model is published (model spec, 6.1). */
const sentencePieceNames = ["tokenizer.model", "spm.model", "ernie_token_100k.model"];

/** Control tokens even if no file says so: some are ordinary pieces of the SentencePiece model (model spec, 1.4). */
const framingTokens = ["<|begin_of_sentence|>", "<|end_of_sentence|>", "<think>", "</think>", "<tool_call>", "</tool_call>"];

const specialTokensSchema = namedTokens.extend({ additional_special_tokens: z.array(tokenText).nullish() });
const decoderSchema = z.record(
  z.string().regex(/^\d{1,8}$/, "a token id"),
  z.object({ content: z.string().min(1), special: z.boolean().default(false) }),
);
const configSchema = specialTokensSchema.extend({ added_tokens_decoder: decoderSchema.default({}) });

/** Throws UserError if there is no tokenizer, or if it is broken or of an unsupported kind. */
export function readTokenizerFiles(folder: string): TokenizerData {
  const tokenizerJson = readTokenizerJson(join(folder, "tokenizer.json"));
  const isSentencePiece = tokenizerJson === undefined;
  const data = tokenizerJson ?? readAnySentencePieceModel(folder);
  const { added_tokens_decoder: decoder = {}, ...configTokens } =
    readJsonIfThere(join(folder, "tokenizer_config.json"), configSchema) ?? {};
  const moreTokens = readJsonIfThere(join(folder, "added_tokens.json"), z.record(z.string().min(1), tokenId)) ?? {};
  const specialTokens = readJsonIfThere(join(folder, "special_tokens_map.json"), specialTokensSchema) ?? {};

  const tokens = new Map<string, AddedToken>();
  const add = (token: AddedToken) => {
    if (!tokens.has(token.content)) tokens.set(token.content, token);
  };
  data.addedTokens.forEach(add);
  for (const [id, { content, special }] of Object.entries(decoder)) {
    add({ id: Number(id), content, isControl: special || isControlText(content) });
  }
  for (const [content, id] of Object.entries(moreTokens)) add({ id, content, isControl: isControlText(content) });
  const named = [...Object.values(configTokens), ...Object.values(specialTokens)].flat();
  if (isSentencePiece) numberListedTokens(named, { ...data, addedTokens: [...tokens.values()] }).forEach(add);
  for (const content of [...named, ...framingTokens]) {
    const id = content ? (tokens.get(content)?.id ?? data.vocabulary.get(content)) : undefined;
    if (content && id !== undefined) tokens.set(content, { id, content, isControl: true });
  }
  return { ...data, addedTokens: [...tokens.values()] };
}

/**
 * Baidu publishes most added tokens as a list of texts. Like transformers, numbers those without an id in the order of the list, from the
 * first id after the vocabulary: `<|IMAGE_PLACEHOLDER|>` becomes 100295, because there are 100295 pieces.
 */
function numberListedTokens(
  named: readonly (string | null | undefined)[],
  { vocabulary, addedTokens }: Pick<TokenizerData, "vocabulary" | "addedTokens">,
): AddedToken[] {
  const known = new Set([...vocabulary.keys(), ...addedTokens.map(({ content }) => content)]);
  const listed = new Set(named.filter((content) => !!content && !known.has(content)) as string[]);
  const largest = [...vocabulary.values(), ...addedTokens.map(({ id }) => id)].reduce((a, b) => Math.max(a, b), -1);
  return [...listed].map((content, index) => ({ id: largest + 1 + index, content, isControl: true }));
}

function readAnySentencePieceModel(folder: string): TokenizerData {
  for (const name of sentencePieceNames) {
    const data = readSentencePieceModel(join(folder, name));
    if (data) return data;
  }
  const wanted = ["tokenizer.json", ...sentencePieceNames].join(", ");
  throw new UserError(`${folder}: expected a tokenizer (${wanted}), found none; get it from where the weights come from`);
}
