// How tokens are chosen and when an answer ends.

export type SamplingParams = {
  /** 0 = greedy: always the most probable token. */
  readonly temperature: number;
  /** Keep the smallest set of most probable tokens that reaches this mass; 1 = all. */
  readonly topP: number;
  /** Keep this many most probable tokens; 0 = all. */
  readonly topK: number;
  /** Keep tokens at least this fraction as probable as the best; 0 = all. */
  readonly minP: number;
  /** Logits of tokens seen in prompt or answer are divided (positive) or multiplied (negative) by it; 1 = off. */
  readonly repetitionPenalty: number;
  /** Subtracted from the logits of tokens seen in the answer, once; 0 = off. */
  readonly presencePenalty: number;
  /** Subtracted from the logits of tokens seen in the answer, per occurrence; 0 = off. */
  readonly frequencyPenalty: number;
  /** Token ids and what is added to their logits, before everything else. */
  readonly logitBias?: readonly (readonly [tokenId: number, bias: number])[];
  /** Same seed, prompt and parameters draw the same answer. An integer in 0 … 2^53 − 1. */
  readonly seed: number;
};

export const greedy: SamplingParams = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  seed: 0,
};

/** Natural logarithms of probabilities as the model has them: at temperature 1, before bias, penalties and all limits of sampling. */
export type TokenLogprobs = {
  /** Of the token that was drawn, or that the prompt goes on with. */
  readonly logprob: number;
  /** The most probable tokens, best first. */
  readonly top: readonly { readonly tokenId: number; readonly logprob: number }[];
};

/** Of a token of a prompt. `rank`: its place among all tokens, 1 for the most probable. */
export type PromptTokenLogprobs = TokenLogprobs & { readonly rank: number };

/** `stop`: an end token or a stop string; `length`: the token limit or the end of the context. */
export type FinishReason = "stop" | "length";
