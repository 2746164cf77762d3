// POST /tokenize and POST /detokenize, as in vLLM: a text or a conversation as tokens, and back.

import type { Handler } from "hono";
import { z } from "zod";
import type { ChatService } from "../chat/complete.ts";
import type { RouteOptions } from "./app-options.ts";
import { Exchange } from "./exchange.ts";
import { toChat } from "./from-openai.ts";
import { MediaParts } from "./media-parts.ts";
import { chatFields, chatRequest, parseChatRequest } from "./openai-schema.ts";
import { readRequest } from "./read-json.ts";
import type { AppEnv } from "./request-record.ts";
import { contradiction, flag, optional, parseFields, text, tokenIds } from "./schema-fields.ts";

/** About what the longest context holds. Tokenizing that much blocks the server for part of a second. */
const maxCharacters = 2 ** 19;
const maxTokenIds = 2 ** 18;

const common = { model: optional(text, "One of the served model's names. May be left out.") };
const tokenizeFields = z.object({
  ...common,
  prompt: optional(
    text.max(maxCharacters, `a string of at most ${maxCharacters} characters`),
    "The text to tokenize, in place of messages. Control tokens in it are read as ordinary text.",
  ),
  return_token_strs: optional(flag, "Adds the text of each token."),
});
export const detokenizeRequest = z.object({
  ...common,
  tokens: tokenIds
    .refine((ids) => ids.length <= maxTokenIds, `at most ${maxTokenIds} ids`)
    .meta({ maxItems: maxTokenIds })
    .describe("The token ids, in order."),
});

/** The body of the route, for the API's own documents: a text, or the fields of a chat request. */
export const tokenizeRequest = z.union([
  tokenizeFields.extend({
    prompt: text.max(maxCharacters).describe("The text to tokenize. Control tokens in it are read as ordinary text."),
    messages: z.null().optional(),
  }),
  chatRequest.extend({ ...tokenizeFields.shape, prompt: z.null().optional() }),
]);

const tokenizeNames = [...Object.keys(tokenizeFields.shape), ...chatFields];

/** Tokenizes `prompt` as ordinary text, or `messages` (with tools and the other fields of a chat request) as the model would read them. */
export function tokenize(service: ChatService, options: RouteOptions): Handler<AppEnv> {
  return async (c) => {
    const { signal } = new Exchange(c);
    const media = new MediaParts(options.limits, options.media, signal);
    const parse = (body: object) => ({ ...parseFields(tokenizeFields, body), body });
    const { body, prompt, return_token_strs: wantsTexts } = await readRequest(c, options, tokenizeNames, parse);
    const hasMessages = ((body as { messages?: unknown }).messages ?? undefined) !== undefined;
    if (hasMessages === (prompt !== undefined))
      throw contradiction("prompt", `either prompt or messages, got ${hasMessages ? "both" : "neither"}`);
    const tokens =
      prompt === undefined
        ? await service.encodeChat(await toChat(parseChatRequest(body), options.defaultThinking, media), signal)
        : service.tokens.encode(prompt);
    return c.json({
      count: tokens.length,
      max_model_len: options.contextLength,
      tokens,
      token_strs: wantsTexts ? toTexts(tokens, service) : null,
    });
  };
}

/** The text of each token. Each is decoded once: a million tokens of a text, one by one, would block the server for seconds. */
function toTexts(tokens: readonly number[], service: ChatService): string[] {
  const texts = new Map([...new Set(tokens)].map((token) => [token, service.tokens.decode([token], "tokens")]));
  return tokens.map((token) => texts.get(token)!);
}

export function detokenize(service: ChatService, options: RouteOptions): Handler {
  const parse = (body: object) => parseFields(detokenizeRequest, body);
  return async (c) => {
    const { tokens } = await readRequest(c, options, Object.keys(detokenizeRequest.shape), parse);
    return c.json({ prompt: service.tokens.decode(tokens, "tokens") });
  };
}
