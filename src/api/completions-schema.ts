// The body of POST /v1/completions: one or more texts for the model to continue.

import { z } from "zod";
import type { TextPrompt } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import { formatFields } from "./output-format.ts";
import { maxTopLogprobs, refuseStreamedPrompt, refuseTooFewTokens, samplingFields } from "./sampling-fields.ts";
import { describe, flag, integer, optional, parseFields, text, tokenIds, tokenLimit } from "./schema-fields.ts";
import { decodingRules, refuseFields, unsupportedInTexts } from "./unsupported-fields.ts";

const maxPrompts = 64;
/** Answers in one request, over all its prompts. */
const maxAnswers = 128;
/** OpenAI's default, which clients expect. */
const defaultMaxTokens = 16;

const someTokenIds = tokenIds.refine((ids) => ids.length > 0, "at least one token id").meta({ minItems: 1 });
const expectedPrompt = "a string, an array of strings, an array of token ids or an array of such arrays";
/** Aborts on too many prompts before any of them is checked. */
const severalPrompts = (item: z.ZodType) => z.array(item).min(1, "at least one prompt").max(maxPrompts, { abort: true });

export const completionRequest = z.object({
  model: optional(text, "One of the served model's names. May be left out."),
  prompt: z
    .union([text, severalPrompts(text), someTokenIds, severalPrompts(tokenIds)], expectedPrompt)
    .describe(`What the model continues. Control tokens in strings are read as ordinary text. At most ${maxPrompts} prompts.`),
  ...samplingFields,
  max_tokens: optional(
    tokenLimit(0).transform((limit) => limit ?? Infinity), // a missing field means the default instead
    `The most tokens that an answer may have, ${defaultMaxTokens} by default. -1: as many as the context has room for. 0, with \`echo\` or \`prompt_logprobs\`: only the prompt is evaluated.`,
  ),
  logprobs: optional(integer(0, maxTopLogprobs), "Adds log-probabilities, and those of this many of the likeliest tokens in each place."),
  echo: optional(flag, "The answer begins with the prompt. With `logprobs`, that includes the log-probabilities of its tokens."),
  best_of: optional(integer(1), "If given, must equal `n`."),
  suffix: optional(text, "Only an empty string is supported: the model continues a text and cannot fill a gap."),
  ...formatFields,
});

export const completionFields = Object.keys({ ...completionRequest.shape, ...unsupportedInTexts });

type Parsed = z.infer<typeof completionRequest>;
export type CompletionRequest = Omit<Parsed, "max_tokens" | "prompt"> & {
  /** Infinity: as many as the context has room for. */
  readonly max_tokens: number;
  readonly prompts: readonly TextPrompt[];
};

/** The request with every field checked. Throws RequestError for the first field that is wrong or cannot be honoured. */
export function parseCompletionRequest(body: object): CompletionRequest {
  refuseFields(body, decodingRules);
  refuseManyPrompts((body as { readonly prompt?: unknown }).prompt);
  const { prompt, max_tokens: maxTokens = defaultMaxTokens, ...request } = parseFields(completionRequest, body);
  const { n = 1, min_tokens: minTokens = 0, best_of: bestOf = n, suffix = "", echo, prompt_logprobs: scores } = request;
  refuseStreamedPrompt(request);
  if (maxTokens === 0 && !echo && typeof scores !== "number") throw refuse("max_tokens", "at least 1 without echo or prompt_logprobs", 0);
  refuseTooFewTokens(minTokens, maxTokens, "max_tokens");
  if (bestOf !== n) throw refuse("best_of", `the same as n (${n})`, bestOf);
  if (suffix !== "") throw refuse("suffix", "an empty string, because the model continues a text and cannot fill a gap", suffix);
  const prompts = toPrompts(prompt as Prompt);
  if (prompts.length * n > maxAnswers) {
    throw refuse("n", `at most ${maxAnswers} answers in one request (${prompts.length} prompts times n)`, n);
  }
  return { ...request, max_tokens: maxTokens, prompts };
}

function refuseManyPrompts(prompt: unknown): void {
  if (!Array.isArray(prompt) || typeof prompt[0] === "number" || prompt.length <= maxPrompts) return;
  throw refuse("prompt", `at most ${maxPrompts} prompts in one request`, prompt.length);
}

type Prompt = string | readonly string[] | readonly number[] | readonly (readonly number[])[];

function toPrompts(prompt: Prompt): TextPrompt[] {
  if (typeof prompt === "string") return [{ text: prompt, param: "prompt" }];
  if (typeof prompt[0] === "number") return [{ tokenIds: prompt as readonly number[], param: "prompt" }];
  return (prompt as readonly (string | readonly number[])[]).map((item, index) => {
    const param = `prompt[${index}]`;
    return typeof item === "string" ? { text: item, param } : { tokenIds: item, param };
  });
}

function refuse(param: string, expected: string, got: unknown): RequestError {
  return new RequestError(`${param}: expected ${expected}, got ${describe(got)}`, { code: "unsupported_parameter", param });
}
