// Our events as OpenAI's objects: the whole chat completion, and the chunks of a stream.

import type { ChatEvent, Usage } from "../core/events.ts";
import { type Answer, type AnsweredCall, newCallId } from "./answer.ts";

/** What every object of one answer has in common. */
export type AnswerHead = {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
};

type CallDelta = { index: number; id?: string; type?: "function"; function: { name?: string; arguments: string } };
type Delta = { role?: "assistant"; content?: string; reasoning_content?: string; reasoning?: string; tool_calls?: CallDelta[] };

export function toChatCompletion(head: AnswerHead, answer: Answer) {
  const { content, reasoning, toolCalls, finishReason, usage, promptTokenIds, tokenIds } = answer;
  return {
    ...head,
    object: "chat.completion" as const,
    choices: [
      {
        index: 0,
        message: {
          role: "assistant" as const,
          content: content === "" && toolCalls.length > 0 ? null : content,
          ...(reasoning !== "" && bothReasoningNames(reasoning)),
          ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(toToolCall) }),
          refusal: null,
          annotations: [],
        },
        finish_reason: finishReason,
        logprobs: null,
        ...(tokenIds && { token_ids: tokenIds }),
      },
    ],
    usage: toUsage(usage),
    ...(promptTokenIds && { prompt_token_ids: promptTokenIds }),
  };
}

export function toUsage(usage: Usage) {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: {
      cached_tokens: usage.cachedTokens,
      image_tokens: usage.imageTokens,
      text_tokens: usage.promptTokens - usage.imageTokens,
    },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
  };
}

function toToolCall({ id, name, arguments: args }: AnsweredCall) {
  return { id, type: "function" as const, function: { name, arguments: args } };
}

/** Makes the chunks of one stream. With `includeUsage`, they say `usage: null` until the last one (`toUsageChunk`). */
export class ChunkWriter {
  readonly #head: AnswerHead;
  readonly #includeUsage: boolean;
  #callCount = 0;

  constructor(head: AnswerHead, includeUsage: boolean) {
    this.#head = head;
    this.#includeUsage = includeUsage;
  }

  toChunk(event: ChatEvent) {
    const choice = {
      index: 0,
      delta: this.#toDelta(event),
      logprobs: null,
      finish_reason: event.type === "finished" ? event.reason : null,
      ...(event.type === "tokens" && { token_ids: event.tokenIds }),
    };
    return {
      ...this.#head,
      object: "chat.completion.chunk" as const,
      choices: [choice],
      ...(this.#includeUsage && { usage: null }),
      ...(event.type === "started" && event.promptTokenIds && { prompt_token_ids: event.promptTokenIds }),
    };
  }

  #toDelta(event: ChatEvent): Delta {
    switch (event.type) {
      case "started":
        return { role: "assistant", content: "" };
      case "reasoning":
        return bothReasoningNames(event.text);
      case "content":
        return { content: event.text };
      case "tool-call": {
        const call = { id: newCallId(), type: "function", function: { name: event.name, arguments: "" } } as const;
        return { tool_calls: [{ index: this.#callCount++, ...call }] };
      }
      case "tool-arguments":
        return { tool_calls: [{ index: this.#callCount - 1, function: { arguments: event.text } }] };
      case "tokens":
      case "finished":
        return {};
    }
  }
}

export function toUsageChunk(head: AnswerHead, usage: Usage) {
  return { ...head, object: "chat.completion.chunk" as const, choices: [], usage: toUsage(usage) };
}

/** Clients read one of two names: DeepSeek's, or the one of vLLM and OpenRouter. */
function bothReasoningNames(text: string) {
  return { reasoning_content: text, reasoning: text };
}
