// A chat completion as a stream of chunks, which add up to the whole answer.

import type { AnswerEvent, ChatEvent, Usage } from "../core/events.ts";
import { type LogprobsEvent, newCallId, totalUsage } from "./answer.ts";
import { toErrorAnswer } from "./error-envelope.ts";
import type { StreamWriter } from "./exchange.ts";
import { toFrame } from "./sse.ts";
import { type AnswerHead, bothReasoningNames, toLogprobs, toUsage } from "./to-openai.ts";
import { toRouting } from "./to-routing.ts";

type CallDelta = { index: number; id?: string; type?: "function"; function: { name?: string; arguments: string } };
type Delta = { role?: "assistant"; content?: string; reasoning_content?: string; reasoning?: string; tool_calls?: CallDelta[] };

type ChoiceState = {
  /** Calls begun so far. */
  callCount: number;
  /** Log-probabilities of tokens whose text has not been sent yet. They go out with the next text, or at the end. */
  readonly held: LogprobsEvent[];
  usage: Usage | undefined;
};

export class ChatStream implements StreamWriter {
  readonly #head: AnswerHead;
  readonly #choices: readonly ChoiceState[];
  /** Chunks have `usage: null` until the last one. */
  readonly #includeUsage: boolean;
  /** The role waits for the first token, because benchmarks (vLLM's, for one) take the first chunk for the first token. */
  #started: Extract<ChatEvent, { type: "started" }> | undefined;

  constructor(head: AnswerHead, choiceCount: number, includeUsage: boolean) {
    this.#head = head;
    this.#choices = Array.from({ length: choiceCount }, () => ({ callCount: 0, held: [], usage: undefined }));
    this.#includeUsage = includeUsage;
  }

  toFrames(event: ChatEvent): string[] {
    return this.toChunks(event).map(toFrame);
  }

  *end(): Generator<string> {
    const usage = totalUsage(this.#choices);
    if (this.#includeUsage) yield toFrame(toUsageChunk(this.#head, usage));
    yield toFrame("[DONE]");
  }

  fail(error: unknown): string[] {
    return [toFrame(toErrorAnswer(error).body)];
  }

  /** One chunk; the first time, the chunks with the choices' roles come before it. None for log-probabilities, which go out with a later chunk. */
  toChunks(event: ChatEvent) {
    if (event.type === "started") {
      this.#started = event;
      return [];
    }
    if (event.type === "prompt-token") return []; // refused for streams
    const index = event.choice ?? 0;
    const choice = this.#choices[index]!;
    if (event.type === "logprobs") {
      choice.held.push(event);
      return [];
    }
    if (event.type === "tokens") return [...this.#toRoles(), this.#toChunk(index, {}, { token_ids: event.tokenIds })];
    const logprobs = toLogprobs(choice.held.splice(0));
    if (event.type !== "finished") return [...this.#toRoles(), this.#toChunk(index, toDelta(event, choice), { logprobs })];
    choice.usage = event.usage;
    const end = { logprobs, finish_reason: event.reason, ...(event.routing && { routing: toRouting(event.routing) }) };
    return [...this.#toRoles(), this.#toChunk(index, {}, end)];
  }

  #toRoles() {
    const started = this.#started;
    if (!started) return [];
    this.#started = undefined;
    return this.#choices.map((_, index) => {
      const ids = index === 0 && started.promptTokenIds;
      return { ...this.#toChunk(index, { role: "assistant", content: "" }), ...(ids && { prompt_token_ids: ids }) };
    });
  }

  #toChunk(index: number, delta: Delta, rest: object = {}) {
    return {
      ...this.#head,
      object: "chat.completion.chunk" as const,
      choices: [{ index, delta, logprobs: null, finish_reason: null, ...rest }],
      ...(this.#includeUsage && { usage: null }),
    };
  }
}

function toDelta(event: Exclude<AnswerEvent, { type: "logprobs" | "prompt-token" | "tokens" | "finished" }>, choice: ChoiceState): Delta {
  switch (event.type) {
    case "reasoning":
      return bothReasoningNames(event.text);
    case "content":
      return { content: event.text };
    case "tool-call": {
      const call = { id: newCallId(), type: "function", function: { name: event.name, arguments: "" } } as const;
      return { tool_calls: [{ index: choice.callCount++, ...call }] };
    }
    case "tool-arguments":
      return { tool_calls: [{ index: choice.callCount - 1, function: { arguments: event.text } }] };
  }
}

export function toUsageChunk(head: AnswerHead, usage: Usage) {
  return { ...head, object: "chat.completion.chunk" as const, choices: [], usage: toUsage(usage) };
}
