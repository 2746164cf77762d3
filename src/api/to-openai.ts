// A whole chat completion as OpenAI's object. chat-stream.ts writes it in chunks.

import type { SpelledLogprob, Usage } from "../core/events.ts";
import { type Answer, type AnsweredCall, type LogprobsEvent, totalUsage } from "./answer.ts";
import { finiteLogprob } from "./finite-logprob.ts";
import { toPromptLogprobs } from "./prompt-logprobs.ts";
import { toRouting } from "./to-routing.ts";

/** The fields that all objects of one answer share. */
export type AnswerHead = {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
};

/** `answers`: at least one, and all to the same prompt. */
export function toChatCompletion(head: AnswerHead, answers: readonly Answer[], promptLogprobCount?: number) {
  const { promptTokenIds, promptTokens = [] } = answers[0]!;
  return {
    ...head,
    object: "chat.completion" as const,
    choices: answers.map(toChoice),
    usage: toUsage(totalUsage(answers)),
    ...(promptTokenIds && { prompt_token_ids: promptTokenIds }),
    ...(promptLogprobCount !== undefined && { prompt_logprobs: toPromptLogprobs(promptTokens, promptLogprobCount) }),
  };
}

function toChoice({ content, reasoning, toolCalls, finishReason, tokenIds, logprobs, routing }: Answer, index: number) {
  return {
    index,
    message: {
      role: "assistant" as const,
      content: content === "" && toolCalls.length > 0 ? null : content,
      ...(reasoning !== "" && bothReasoningNames(reasoning)),
      ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(toToolCall) }),
      refusal: null,
      annotations: [],
    },
    finish_reason: finishReason,
    logprobs: toLogprobs(logprobs),
    ...(tokenIds && { token_ids: tokenIds }),
    ...(routing && { routing: toRouting(routing) }),
  };
}

export function toLogprobs(events: readonly LogprobsEvent[] = []) {
  return events.length === 0 ? null : { content: events.map(toTokenLogprob), refusal: null };
}

export function toTokenLogprob({ chosen, top }: LogprobsEvent) {
  return { ...toLogprob(chosen), top_logprobs: top.map(toLogprob) };
}

function toLogprob({ text, bytes, logprob }: SpelledLogprob) {
  return { token: text, logprob: finiteLogprob(logprob), bytes: bytes as number[] }; // mutable only in the types of OpenAI's client
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

/** Some clients read DeepSeek's name, others that of vLLM and OpenRouter. */
export function bothReasoningNames(text: string) {
  return { reasoning_content: text, reasoning: text };
}
