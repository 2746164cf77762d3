// Limits how many log-probabilities a whole answer may have, since they stay in memory until it ends. A stream keeps none.

import type { GenerationOptions } from "../core/chat.ts";
import { contradiction } from "./schema-fields.ts";

/** Each takes about 75 characters of JSON, and a string has at most 2^29. */
const maxLogprobs = 2 ** 22;

/** Throws RequestError when the answers to `promptCount` prompts may have too many. */
export function refuseManyLogprobs(
  { maxTokens = Infinity, logprobCount, choiceCount = 1 }: GenerationOptions,
  contextLength: number,
  promptCount = 1,
): void {
  if (logprobCount === undefined) return;
  const count = promptCount * choiceCount * Math.min(maxTokens, contextLength) * (1 + logprobCount);
  if (count <= maxLogprobs) return;
  const limit = `answers with at most ${maxLogprobs} log-probabilities together, got room for ${count}`;
  throw contradiction("logprobs", `${limit}; send "stream": true, or ask for fewer answers, tokens or likeliest tokens`);
}
