// Splits an answer into thinking and content at the tokens <think> and </think>. Text that merely looks like them has no effect.

import { HeldNewlines } from "./held-newlines.ts";

type ReasoningTokens = { readonly open: number | undefined; readonly close: number | undefined };

export type SplitText = { readonly type: "reasoning" | "content"; readonly text: string };

/**
 * `start`: no token yet, and the prompt did not end in thinking. `reasoning`: between the tokens. `content`: everything else.
 * Newlines around thinking, and between thinking and content, belong to the format and are dropped.
 */
type Phase = "start" | "reasoning" | "content";

export class ReasoningParser {
  readonly #tokens: ReasoningTokens;
  #phase: Phase;
  #reasoningTokenCount = 0;
  /** True while newlines at the front are dropped. */
  #isTrimming: boolean;
  /** Newlines within thinking: those before </think> are not shown. */
  readonly #newlines = new HeldNewlines();

  /** The answer begins in thinking if the last of the two tokens in the prompt is <think>. `isBegun`: the prompt contains the beginning of the answer. */
  constructor(tokens: ReasoningTokens, promptTokenIds: Int32Array, isBegun = false) {
    this.#tokens = tokens;
    const { open, close } = tokens;
    const lastOpen = open === undefined ? -1 : promptTokenIds.lastIndexOf(open);
    const lastClose = close === undefined ? -1 : promptTokenIds.lastIndexOf(close);
    this.#phase = lastOpen > lastClose ? "reasoning" : isBegun ? "content" : "start";
    this.#isTrimming = this.#phase === "reasoning" && !isBegun;
  }

  /** Tokens between <think> and </think>, these two not counted. */
  get reasoningTokenCount(): number {
    return this.#reasoningTokenCount;
  }

  get isThinking(): boolean {
    return this.#phase === "reasoning";
  }

  isMarker(tokenId: number): boolean {
    return tokenId === this.#tokens.open || tokenId === this.#tokens.close;
  }

  /** Takes note of a marker; a <think> after the start, or a </think> without thinking, is ignored. */
  pushMarker(tokenId: number): void {
    const isOpening = tokenId === this.#tokens.open && this.#phase === "start";
    const isClosing = tokenId === this.#tokens.close && this.#phase === "reasoning";
    if (!isOpening && !isClosing) return;
    this.#phase = isOpening ? "reasoning" : "content";
    this.#isTrimming = true;
  }

  /** Takes note of a token that is part of the content but has no text. */
  pushContentMarker(): void {
    this.#phase = "content";
    this.#isTrimming = false;
  }

  /** Takes the text that one token completed, possibly none. */
  pushToken(text: string): SplitText {
    if (this.#phase === "start") this.#phase = "content";
    if (this.#phase === "reasoning") this.#reasoningTokenCount++;
    return this.pushText(text);
  }

  /** Takes text that belongs to tokens counted before. */
  pushText(text: string): SplitText {
    const trimmed = this.#isTrimming ? text.replace(/^\n+/, "") : text;
    if (trimmed !== "") this.#isTrimming = false;
    return this.#phase === "reasoning" ? { type: "reasoning", text: this.#newlines.push(trimmed) } : { type: "content", text: trimmed };
  }
}
