// Translates OpenAI's request: messages to Chat, sampling fields to GenerationOptions.

import { randomInt } from "node:crypto";
import type { Chat, ChatMessage, ContentPart, GenerationOptions } from "../core/chat.ts";
import type { GenerationDefaults } from "./app-options.ts";
import { goOnWithLast } from "./begun-answer.ts";
import { toDocument } from "./file-schema.ts";
import type { MediaParts } from "./media-parts.ts";
import type { ChatRequest, RequestMessage } from "./openai-schema.ts";
import { toToolUse } from "./tool-schema.ts";
import { toVideoUrls } from "./video-schema.ts";

type Part = Exclude<RequestMessage["content"], string | undefined>[number];

/** Throws RequestError when a picture, video or document cannot be read. */
export async function toChat(
  request: AnswerFields & Pick<ChatRequest, "messages">,
  defaultThinking: boolean,
  media: MediaParts,
): Promise<Chat> {
  const toolUse = toToolUse(request);
  const chat: Chat = {
    messages: await Promise.all(request.messages.map((message, index) => toChatMessage(message, `messages[${index}]`, media))),
    thinking: (wantsThinking(request) ?? defaultThinking) && thinkingBudget(request) !== 0,
    ...(toolUse && { toolUse }),
  };
  return goesOn(request) ? goOnWithLast(chat, `messages[${request.messages.length - 1}]`) : chat;
}

/** Whether the last message is to be continued: by vLLM's switch, or by a mark on the message itself. */
function goesOn({ messages, continue_final_message: isAsked }: AnswerFields & Pick<ChatRequest, "messages">): boolean {
  const last = messages.at(-1);
  return isAsked || (last?.role === "assistant" && (last.prefix || last.partial)) || false;
}

async function toChatMessage(message: RequestMessage, path: string, media: MediaParts): Promise<ChatMessage> {
  const parts = typeof message.content === "string" ? [{ type: "text" as const, text: message.content }] : (message.content ?? []);
  const content = await Promise.all(parts.map((part, index) => toPart(part, `${path}.content[${index}]`, media)));
  if (message.role === "tool") {
    const { tool_call_id: toolCallId } = message;
    return { role: "tool", content, ...(toolCallId !== undefined && { toolCallId }) };
  }
  if (message.role !== "assistant") return { role: message.role === "user" ? "user" : "system", content };
  const reasoning = message.reasoning_content ?? message.reasoning;
  const toolCalls = message.tool_calls?.map(({ id, function: { name, arguments: args } }) => ({ id, name, arguments: args })) ?? [];
  return { role: "assistant", content, ...(reasoning !== undefined && { reasoning }), ...(toolCalls.length > 0 && { toolCalls }) };
}

async function toPart(part: Part, path: string, media: MediaParts): Promise<ContentPart> {
  if (part.type === "text") return part;
  if (part.type === "file") return media.document(toDocument(part, path));
  if (part.type !== "image_url") return media.video(toVideoUrls(part, path));
  const param = `${path}.image_url`;
  return typeof part.image_url === "string"
    ? media.image({ url: part.image_url, param })
    : media.image({ ...part.image_url, param: `${param}.url` });
}

/** The thinking switch from all its spellings, the most specific first; undefined when none is given. */
export function wantsThinking(request: AnswerFields): boolean | undefined {
  const { chat_template_kwargs: kwargs, metadata, reasoning_effort: effort, thinking } = request;
  const mode = kwargs?.options?.thinking_mode;
  const byMetadata = metadata?.enable_thinking;
  return (
    kwargs?.enable_thinking ??
    (mode && mode === "open") ??
    request.enable_thinking ??
    (thinking && thinking.type !== "auto" ? thinking.type !== "disabled" : undefined) ??
    (typeof byMetadata === "string" ? byMetadata === "true" : byMetadata) ??
    (effort && effort !== "none")
  );
}

/** FastDeploy's name, then vLLM's, then Anthropic's. 0 means no thinking at all. */
function thinkingBudget(request: AnswerFields): number | undefined {
  return request.reasoning_max_tokens ?? request.thinking_token_budget ?? request.thinking?.budget_tokens;
}

/** The fields of a request that control the answer. Other routes translate theirs to these. */
export type AnswerFields = Partial<Omit<ChatRequest, "messages">>;

/** `clientSalt` separates the caches of clients; with `cache_salt`, a client separates those of its own users. */
export function toGenerationOptions(request: AnswerFields, defaults: GenerationDefaults, clientSalt?: string): GenerationOptions {
  const { stop, cache_salt: salt } = request;
  const biases = Object.entries(request.logit_bias ?? {}).map(([tokenId, bias]) => [Number(tokenId), bias] as const);
  const salts = [clientSalt, salt].filter((part) => part !== undefined);
  return {
    sampling: {
      temperature: request.temperature ?? defaults.temperature ?? 1,
      topP: request.top_p ?? defaults.topP ?? 1,
      topK: Math.max(0, request.top_k ?? defaults.topK ?? 0),
      minP: request.min_p ?? 0,
      repetitionPenalty: request.repetition_penalty ?? defaults.repetitionPenalty ?? 1,
      presencePenalty: request.presence_penalty ?? 0,
      frequencyPenalty: request.frequency_penalty ?? 0,
      ...(biases.length > 0 && { logitBias: biases }),
      seed: request.seed === undefined ? randomInt(2 ** 47) : foldSeed(request.seed),
    },
    maxTokens: request.max_completion_tokens ?? request.max_tokens,
    minTokens: request.min_tokens || undefined,
    logprobCount: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
    promptLogprobCount: request.prompt_logprobs === false ? undefined : request.prompt_logprobs,
    stopStrings: stop === undefined ? [] : typeof stop === "string" ? [stop] : stop,
    choiceCount: request.n ?? 1,
    ...(salts.length > 0 && { cacheSalt: JSON.stringify(salts) }),
    ...(clientSalt !== undefined && { clientId: clientSalt }),
    priority: request.priority,
    stopTokenIds: request.stop_token_ids ?? [],
    ignoresEndTokens: request.ignore_eos ?? false,
    thinkingBudget: thinkingBudget(request) || undefined,
    spellsSpecials: request.skip_special_tokens === false,
    returnsTokenIds: request.return_token_ids ?? false,
    ...(request.return_routing && { returnsRouting: true }),
  };
}

/** Maps any integer to 0 … 2^53 − 1, modulo 2^53. */
function foldSeed(seed: number): number {
  return Number(BigInt.asUintN(53, BigInt(seed)));
}
