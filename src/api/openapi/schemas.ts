// The schemas of the API's document, by name: those that validate requests, and those of answers.

import { completionRequest } from "../completions-schema.ts";
import { countSchema, messageEventSchema, messageSchema, messagesErrorSchema, modelInfoSchema } from "../messages/message-schema.ts";
import { modelPageSchema } from "../messages/message-schema.ts";
import { messageRequest, promptRequest, unsupportedInMessages } from "../messages/request-schema.ts";
import { chatRequest } from "../openai-schema.ts";
import { responsesRequest, unsupportedInResponses } from "../responses/request.ts";
import { deletedSchema, eventSchema, inputItemsSchema, inputTokensSchema, responseSchema } from "../responses/response-schema.ts";
import { pageFields } from "../responses/stored-responses.ts";
import { detokenizeRequest, tokenizeRequest } from "../tokenize.ts";
import { unsupportedInChats, unsupportedInTexts } from "../unsupported-fields.ts";
import * as answers from "./answer-schemas.ts";
import { type JsonSchema, toJsonSchemas } from "./json-schema.ts";

const requestSchemas = {
  ChatCompletionRequest: chatRequest.extend(unsupportedInChats),
  CompletionRequest: completionRequest.extend(unsupportedInTexts),
  ResponsesRequest: responsesRequest.extend(unsupportedInResponses),
  InputItemsQuery: pageFields,
  MessagesRequest: messageRequest.extend(unsupportedInMessages),
  CountTokensRequest: promptRequest.extend(unsupportedInMessages),
  TokenizeRequest: tokenizeRequest,
  DetokenizeRequest: detokenizeRequest,
};

const answerSchemas = {
  ChatCompletion: answers.chatCompletion,
  ChatCompletionChunk: answers.chatCompletionChunk,
  Completion: answers.completion,
  CompletionChunk: answers.completionChunk,
  Response: responseSchema,
  ResponseEvent: eventSchema,
  ResponseInputItems: inputItemsSchema,
  ResponseInputTokens: inputTokensSchema,
  DeletedResponse: deletedSchema,
  Message: messageSchema,
  MessageEvent: messageEventSchema,
  TokenCount: countSchema,
  Model: answers.model,
  ModelList: answers.modelList,
  ModelInfo: modelInfoSchema,
  ModelPage: modelPageSchema,
  Tokens: answers.tokens,
  DecodedText: answers.decodedText,
  Version: answers.versionAnswer,
  Health: answers.healthAnswer,
  Alive: answers.liveAnswer,
  Error: answers.errorEnvelope,
  MessagesError: messagesErrorSchema,
};

export type RequestName = keyof typeof requestSchemas;
export type AnswerName = keyof typeof answerSchemas;

/** All schemas. Those of answers allow unknown keys, because later versions may add some. */
export function allSchemas(): Record<string, JsonSchema> {
  return { ...toJsonSchemas(requestSchemas), ...(leaveRoom(toJsonSchemas(answerSchemas)) as Record<string, JsonSchema>) };
}

function leaveRoom(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(leaveRoom);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key, inner]) => key !== "additionalProperties" || inner !== false);
  return Object.fromEntries(entries.map(([key, inner]) => [key, leaveRoom(inner)]));
}
