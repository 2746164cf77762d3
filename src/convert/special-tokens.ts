// Ids of the special tokens around prompts, pictures and answers: from the config, else by their text in the tokenizer, else as published.

import { join } from "node:path";
import { z } from "zod";
import type { SpecialTokens } from "../core/model-config.ts";
import { readJsonIfThere, rejectValue } from "../core/read-json.ts";

const tokenId = z.int("a token id").min(0, "a token id");
const tokenIds = z.union([tokenId.transform((id) => [id]), z.array(tokenId)], "a token id or a list of them").nullish();

/** Keys of a config.json that may name special tokens. */
export const declaredTokens = {
  bos_token_id: tokenId.nullish(),
  pad_token_id: tokenId.nullish(),
  eos_token_id: tokenIds,
  image_token_id: tokenId.nullish(),
  video_token_id: tokenId.nullish(),
  image_start_token_id: tokenId.nullish(),
  image_end_token_id: tokenId.nullish(),
  video_start_token_id: tokenId.nullish(),
  video_end_token_id: tokenId.nullish(),
};

const declared = z.object(declaredTokens);
export type DeclaredTokens = z.output<typeof declared>;

/** Text and published id (model spec, 1.4). */
const published = {
  bos_token_id: ["<s>", 1],
  pad_token_id: ["<unk>", 0],
  image_token_id: ["<|IMAGE_PLACEHOLDER|>", 100295],
  image_start_token_id: ["<|IMAGE_START|>", 101304],
  image_end_token_id: ["<|IMAGE_END|>", 101305],
  video_start_token_id: ["<|VIDEO_START|>", 101306],
  video_end_token_id: ["<|VIDEO_END|>", 101307],
} as const;

/** Throws a UserError when an id lies outside the vocabulary. */
export function resolveSpecialTokens(folder: string, config: DeclaredTokens, vocabSize: number): SpecialTokens {
  const idOfText = readAddedTokens(folder);
  const generation = readGenerationTokens(folder);
  const checked = (key: string, id: number): number =>
    id < vocabSize ? id : rejectValue(join(folder, "config.json"), key, `an id below vocab_size ${vocabSize}`, id);
  const resolve = (key: keyof typeof published): number => {
    const [text, publishedId] = published[key];
    return checked(key, config[key] ?? generation[key] ?? idOfText.get(text) ?? publishedId);
  };
  const declaredEnds = [...(config.eos_token_id ?? []), ...(generation.eos_token_id ?? [])];
  const ends = declaredEnds.length > 0 ? declaredEnds : [idOfText.get("</s>") ?? 2];
  // The template closes each turn with this token, so an answer ends there too (model spec, 6.2).
  const turnEnd = idOfText.get("<|end_of_sentence|>");
  const image = resolve("image_token_id");
  return {
    bos: resolve("bos_token_id"),
    pad: resolve("pad_token_id"),
    eos: [...new Set(turnEnd === undefined ? ends : [...ends, turnEnd])].map((id) => checked("eos_token_id", id)),
    image,
    video: checked("video_token_id", config.video_token_id ?? idOfText.get("<|VIDEO_PLACEHOLDER|>") ?? image),
    imageStart: resolve("image_start_token_id"),
    imageEnd: resolve("image_end_token_id"),
    videoStart: resolve("video_start_token_id"),
    videoEnd: resolve("video_end_token_id"),
  };
}

function readGenerationTokens(folder: string): DeclaredTokens {
  return readJsonIfThere(join(folder, "generation_config.json"), declared) ?? {};
}

const tokenizerFile = z.object({ added_tokens: z.array(z.object({ id: tokenId, content: z.string() })).default([]) });
const tokenizerConfig = z.object({ added_tokens_decoder: z.record(z.string(), z.object({ content: z.string() })).default({}) });
/** The content of added_tokens.json, which lies beside a SentencePiece model. */
const addedTokens = z.record(z.string(), tokenId);

/** Text → id of the tokens that were added to the vocabulary. */
function readAddedTokens(folder: string): Map<string, number> {
  const tokenizer = readJsonIfThere(join(folder, "tokenizer.json"), tokenizerFile);
  if (tokenizer) return new Map(tokenizer.added_tokens.map(({ id, content }) => [content, id]));
  const added = readJsonIfThere(join(folder, "added_tokens.json"), addedTokens) ?? {};
  const decoder = readJsonIfThere(join(folder, "tokenizer_config.json"), tokenizerConfig)?.added_tokens_decoder ?? {};
  const tokens = Object.entries(decoder).map(([id, { content }]) => [content, Number(id)] as const);
  return new Map([...Object.entries(added), ...tokens]);
}
