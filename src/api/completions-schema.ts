// The body of POST /v1/completions: a text, or several, that the model goes on with.

import { z } from "zod";
import type { TextPrompt } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import { formatFields } from "./output-format.ts";
import { maxTopLogprobs, refuseStreamedPrompt, refuseTooFewTokens, samplingFields } from "./sampling-fields.ts";
import { describe, flag, integer, optional, schemaError, text, tokenIds, tokenLimit } from "./schema-fields.ts";
import { refuseUnsupportedDecoding } from "./unsupported-fields.ts";

const maxPrompts = 64;
/** Answers in one request, over all its prompts. */
const maxAnswers = 128;
/** As OpenAI's; clients that want more say so. */
const defaultMaxTokens = 16;

const someTokenIds = tokenIds.refine((ids) => ids.length > 0, "at least one token id").meta({ minItems: 1 });
const expectedPrompt = "a string, an array of strings, an array of token ids or an array of such arrays";
/** Who sends more is told so before any is looked at. */
const severalPrompts = (item: z.ZodType) => z.array(item).min(1, "at least one prompt").max(maxPrompts, { abort: true });

export const completionRequest = z.object({
  model: optional(text, "A served name, or nothing."),
  prompt: z
    .union([text, severalPrompts(text), someTokenIds, severalPrompts(tokenIds)], expectedPrompt)
    .describe(`What the model goes on with. Texts are ordinary text: control tokens in them are not. At most ${maxPrompts} prompts.`),
  ...samplingFields,
  max_tokens: optional(
    tokenLimit(0).transform((limit) => limit ?? Infinity), // nothing sent is something else
    `Tokens that an answer may have, ${defaultMaxTokens} by default; -1: what the context has room for; 0 beside \`echo\` or \`prompt_logprobs\`: only what is known of the prompt.`,
  ),
  logprobs: optional(integer(0, maxTopLogprobs), "Adds log-probabilities, and those of so many of the likeliest tokens."),
  echo: optional(flag, "The answer begins with the prompt; beside `logprobs`, with the log-probabilities of its tokens, too."),
  best_of: optional(integer(1), "The same as `n`, or nothing."),
  suffix: optional(text, "Empty: the model goes on with a text, it cannot fill a gap."),
  ...formatFields,
});

type Parsed = z.infer<typeof completionRequest>;
export type CompletionRequest = Omit<Parsed, "max_tokens" | "prompt"> & {
  /** Infinity: the rest of the context. */
  readonly max_tokens: number;
  readonly prompts: readonly TextPrompt[];
};

/** The request with every field checked. Throws RequestError for the first field that is wrong or cannot be honoured. */
export function parseCompletionRequest(body: object): CompletionRequest {
  refuseUnsupportedDecoding(body);
  refuseManyPrompts((body as { readonly prompt?: unknown }).prompt);
  const parsed = completionRequest.safeParse(body);
  if (!parsed.success) throw schemaError(parsed.error, body);
  const { prompt, max_tokens: maxTokens = defaultMaxTokens, ...request } = parsed.data;
  const { n = 1, min_tokens: minTokens = 0, best_of: bestOf = n, suffix = "", echo, prompt_logprobs: scores } = request;
  refuseStreamedPrompt(request);
  if (maxTokens === 0 && !echo && typeof scores !== "number") throw refuse("max_tokens", "at least 1 without echo or prompt_logprobs", 0);
  refuseTooFewTokens(minTokens, maxTokens, "max_tokens");
  if (bestOf !== n) throw refuse("best_of", `the same as n (${n}), or nothing`, bestOf);
  if (suffix !== "") throw refuse("suffix", "nothing: the model goes on with a text, it cannot fill a gap", suffix);
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
