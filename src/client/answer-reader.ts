// Reads the chunks of one streamed answer and records when text came, how much, and how it ended.

import { type RequestFailure, toFailure } from "./failure.ts";
import { membersOf, parseJson, toCount } from "../core/parse-json.ts";

/** The parts that are read of a chunk, of chat and text completions. Anything may be missing or something else: it comes from outside. */
type Chunk = { readonly choices?: unknown; readonly usage?: unknown; readonly error?: unknown };

type Choice = {
  readonly text?: unknown;
  readonly delta?: { readonly [field in "content" | "reasoning" | "reasoning_content" | "tool_calls"]?: unknown };
  readonly finish_reason?: unknown;
};

/** What a chunk adds to the answer and to the thought before it; both are empty for a piece of a call. */
export type OnText = (answer: string, thought: string) => void;

export class AnswerReader {
  readonly #onText: OnText | undefined;
  readonly #gapsMs: number[] = [];
  #firstMs: number | undefined;
  #lastTextMs: number | undefined;
  #endMs: number | undefined;
  #chunkCount = 0;
  #usage: Readonly<Record<string, unknown>> = {};
  #finishReason: string | undefined;
  #isDone = false;
  #failure: RequestFailure | undefined;

  /** `onText` is called with each chunk of text. */
  constructor(onText?: OnText) {
    this.#onText = onText;
  }

  get failure(): RequestFailure | undefined {
    return this.#failure;
  }

  /** `data` of one event, which came at `timeMs`. */
  take(data: string, timeMs: number): void {
    if (data === "[DONE]") {
      this.#isDone = true;
      return;
    }
    const chunk = parseChunk(data);
    if (chunk === undefined) return this.#fail({ kind: "malformed stream", message: `expected JSON, got ${data.slice(0, 100)}` });
    if (chunk.error) return this.#fail(toFailure("error in stream", chunk));
    if (chunk.usage) this.#usage = membersOf(chunk.usage);
    for (const choice of choicesOf(chunk)) {
      if (hasText(choice)) {
        this.#see(timeMs);
        this.#onText?.(textOf(choice.delta ? choice.delta.content : choice.text), thoughtOf(choice));
      }
      if (typeof choice.finish_reason !== "string") continue;
      this.#finishReason = choice.finish_reason;
      this.#endMs = timeMs; // the last token may have no text of its own
    }
  }

  /** The stream has ended. An answer needs a reason for its end, or at least `[DONE]`, to be whole. */
  end(): void {
    if (this.#failure || this.#isDone || this.#finishReason !== undefined) return;
    this.#fail({ kind: "broken stream", message: `the stream ended after ${this.#chunkCount} chunks without saying why` });
  }

  figures(startMs: number, endMs: number) {
    const { prompt_tokens: prompt, completion_tokens: output, prompt_tokens_details: details } = this.#usage;
    const outputTokens = toCount(output);
    return {
      // The end of the connection comes later, after the usage chunk and [DONE]; those are no part of the answer.
      e2elMs: (this.#failure ? endMs : (this.#endMs ?? endMs)) - startMs,
      ttftMs: this.#firstMs === undefined ? undefined : this.#firstMs - startMs,
      gapsMs: this.#gapsMs,
      promptTokens: toCount(prompt) ?? 0,
      cachedTokens: toCount(membersOf(details)["cached_tokens"]) ?? 0,
      outputTokens: outputTokens ?? this.#chunkCount,
      tokensFrom: outputTokens === undefined ? ("chunks" as const) : ("usage" as const),
      finishReason: this.#finishReason,
    };
  }

  #see(timeMs: number): void {
    this.#chunkCount++;
    if (this.#lastTextMs !== undefined) this.#gapsMs.push(timeMs - this.#lastTextMs);
    this.#firstMs ??= timeMs;
    this.#lastTextMs = timeMs;
    this.#endMs = timeMs;
  }

  #fail(failure: RequestFailure): void {
    this.#failure ??= failure;
  }
}

function choicesOf({ choices }: Chunk): readonly Choice[] {
  return Array.isArray(choices) ? choices.filter((choice) => typeof choice === "object" && choice !== null) : [];
}

function hasText({ text, delta }: Choice): boolean {
  if (delta === undefined || delta === null) return isText(text);
  return isText(delta.content) || isText(delta.reasoning_content) || isText(delta.reasoning) || hasItems(delta.tool_calls);
}

/** Some servers send an empty list of calls with every chunk, the one with the role included. */
function hasItems(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

/** Of two names of the same, some servers send both. */
function thoughtOf({ delta }: Choice): string {
  return textOf(delta?.reasoning_content) || textOf(delta?.reasoning);
}

function isText(value: unknown): boolean {
  return textOf(value) !== "";
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function parseChunk(data: string): Chunk | undefined {
  const value = parseJson(data);
  return typeof value === "object" && value !== null ? value : undefined;
}
