// Our events as OpenAI's objects: the whole chat completion, and the chunks of a stream.

import type { ChatEvent, Usage } from "../core/events.ts";
import type { FinishReason } from "../core/sampling.ts";

/** What every object of one answer has in common. */
export type AnswerHead = {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
};

export type Answer = {
  readonly content: string;
  readonly reasoning: string;
  readonly finishReason: FinishReason;
  readonly usage: Usage;
};

type Delta = { role?: "assistant"; content?: string; reasoning_content?: string; reasoning?: string };

export function toChatCompletion(head: AnswerHead, answer: Answer) {
  const { content, reasoning, finishReason, usage } = answer;
  return {
    ...head,
    object: "chat.completion" as const,
    choices: [
      {
        index: 0,
        message: {
          role: "assistant" as const,
          content,
          ...(reasoning !== "" && bothReasoningNames(reasoning)),
          refusal: null,
          annotations: [],
        },
        finish_reason: finishReason,
        logprobs: null,
      },
    ],
    usage: toUsage(usage),
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

/** The chunk of one event. With `includeUsage`, chunks say `usage: null` until the last one (`toUsageChunk`). */
export function toChunk(head: AnswerHead, event: ChatEvent, includeUsage: boolean) {
  return {
    ...head,
    object: "chat.completion.chunk" as const,
    choices: [{ index: 0, delta: toDelta(event), logprobs: null, finish_reason: event.type === "finished" ? event.reason : null }],
    ...(includeUsage && { usage: null }),
  };
}

function toDelta(event: ChatEvent): Delta {
  switch (event.type) {
    case "started":
      return { role: "assistant", content: "" };
    case "reasoning":
      return bothReasoningNames(event.text);
    case "content":
      return { content: event.text };
    case "finished":
      return {};
  }
}

export function toUsageChunk(head: AnswerHead, usage: Usage) {
  return { ...head, object: "chat.completion.chunk" as const, choices: [], usage: toUsage(usage) };
}

/** Clients read one of two names: DeepSeek's, or the one of vLLM and OpenRouter. */
function bothReasoningNames(text: string) {
  return { reasoning_content: text, reasoning: text };
}
