// What flows back: engine → chat (tokens), chat → api (text).

import type { FinishReason } from "./sampling.ts";

/** One event of one sequence. Exactly one of `finished` and `failed` comes last, unless the caller aborted. */
export type GenerationEvent =
  | { readonly type: "started"; readonly cachedTokens: number }
  | { readonly type: "token"; readonly tokenId: number }
  | { readonly type: "finished"; readonly reason: FinishReason }
  | { readonly type: "failed"; readonly message: string };

export type Usage = {
  readonly promptTokens: number;
  /** Prompt tokens that were still in a KV slot and not computed again. */
  readonly cachedTokens: number;
  /** Prompt tokens that pictures fill (placeholders). */
  readonly imageTokens: number;
  /** Tokens generated, the end token included. */
  readonly completionTokens: number;
  readonly reasoningTokens: number;
};

export type ChatEvent =
  | { readonly type: "started"; readonly promptTokens: number; readonly imageTokens: number; readonly cachedTokens: number }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "content"; readonly text: string }
  | { readonly type: "finished"; readonly reason: FinishReason; readonly usage: Usage };
