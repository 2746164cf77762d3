// Answers as this server's schemas describe them are what the SDKs' types promise. Nothing runs here: `npm run types` proves it.

import type Anthropic from "@anthropic-ai/sdk";
import type OpenAI from "openai";
import type { z } from "zod";
import type * as messages from "../../src/api/messages/message-schema.ts";
import type * as answers from "../../src/api/openapi/answer-schemas.ts";
import type * as responses from "../../src/api/responses/response-schema.ts";

/** What a schema describes. In JSON, a key that may be missing is never undefined. */
type Sent<Schema extends z.ZodType> = Defined<z.infer<Schema>>;
type Defined<T> = T extends object ? { [Key in keyof T]: Defined<Exclude<T[Key], undefined>> } : T;

type Is<Promised, Answer extends Promised> = Answer;

/** The SDK puts `output_text` together by itself. Its types know nothing of a usage that is null until the end, as OpenAI's is. */
type OpenAiResponse = Omit<OpenAI.Responses.Response, "output_text" | "usage"> & { readonly usage: OpenAI.Responses.ResponseUsage | null };
type ResponseEvent = Sent<typeof responses.eventSchema>;
/** Its log-probabilities are null for the first token of a prompt, as OpenAI's are, of which its types know nothing. */
type TextChoice = Sent<typeof answers.completion>["choices"][number];
type WithResponse = { readonly response: unknown };

export type ToOpenAi = [
  Is<OpenAI.ChatCompletion, Sent<typeof answers.chatCompletion>>,
  Is<OpenAI.ChatCompletionChunk, Sent<typeof answers.chatCompletionChunk>>,
  Is<Omit<OpenAI.Completion, "choices">, Sent<typeof answers.completion>>,
  Is<Omit<OpenAI.CompletionChoice, "logprobs">, TextChoice>,
  Is<OpenAI.CompletionChoice.Logprobs, Omit<NonNullable<TextChoice["logprobs"]>, "token_logprobs" | "top_logprobs">>,
  Is<OpenAI.Model, Sent<typeof answers.model>>,
  Is<OpenAiResponse, Sent<typeof responses.responseSchema>>,
  Is<OpenAI.Responses.ResponseStreamEvent, Exclude<ResponseEvent, WithResponse>>,
  Is<OpenAiResponse, Extract<ResponseEvent, WithResponse>["response"]>,
  Is<OpenAI.Responses.ResponseItemList["data"], Sent<typeof responses.inputItemsSchema>["data"]>, // ids around an empty page are null
  Is<OpenAI.Responses.InputTokenCountResponse, Sent<typeof responses.inputTokensSchema>>,
];

/** Its text blocks leave out `citations`, as Anthropic's do. The types demand at least null, which Vercel's AI SDK 6 refuses. */
export type WithCitations<T> = T extends { readonly type: "text"; readonly text: string }
  ? T & { readonly citations: null }
  : T extends readonly unknown[] | { readonly message: unknown } | { readonly content: unknown } | { readonly content_block: unknown }
    ? { [Key in keyof T]: WithCitations<T[Key]> }
    : T;
type MessageEvent = Exclude<Sent<typeof messages.messageEventSchema>, { readonly type: "ping" }>;

export type ToAnthropic = [
  Is<Anthropic.Message, WithCitations<Sent<typeof messages.messageSchema>>>,
  Is<Anthropic.MessageStreamEvent, WithCitations<MessageEvent>>,
  Is<Anthropic.MessageTokensCount, Sent<typeof messages.countSchema>>,
  Is<Anthropic.ModelInfo, Sent<typeof messages.modelInfoSchema>>,
];
