// Fields that control how tokens are chosen and when an answer ends. Chat and text completions share them.

import { z } from "zod";
import { RequestError } from "../core/errors.ts";
import { contradiction, fewEntries, flag, integer, number, optional, text } from "./schema-fields.ts";

const maxChoices = 8;
export const maxStopStrings = 16;
const maxStopBytes = 256;
const maxStopTokenIds = 128;
const maxBiases = 1024;
export const maxTopLogprobs = 20;

export const stopString = text
  .min(1, "a string of at least one character")
  .refine((value) => Buffer.byteLength(value) <= maxStopBytes, `a string of at most ${maxStopBytes} bytes`)
  .meta({ maxLength: maxStopBytes });

const tokenIdName = /^\d{1,9}$/;

const logitBias = fewEntries(
  z
    .record(z.string(), number(-100, 100), "an object of token ids and their biases")
    .superRefine((biases, context) => {
      const wrong = Object.keys(biases).find((id) => !tokenIdName.test(id));
      if (wrong !== undefined) context.addIssue({ code: "custom", path: [wrong], message: "a token id as the key" });
    })
    .meta({ propertyNames: { pattern: tokenIdName.source }, maxProperties: maxBiases }),
  maxBiases,
  `at most ${maxBiases} token ids`,
);

export const samplingFields = {
  n: optional(integer(1, maxChoices), "Number of answers, 1 by default. They share one prefill, and each has the next seed."),
  stream: optional(flag, "Sends the answer as server-sent events while it is generated."),
  stream_options: optional(
    z.object({ include_usage: optional(flag, "Adds a last event with the usage.") }, "an object"),
    "Options for a stream.",
  ),
  min_tokens: optional(
    integer(0),
    "The least number of tokens, thinking included, before an end token or one of `stop_token_ids` can end the answer.",
  ),
  temperature: optional(number(0, 2), "Sampling temperature; 0 always takes the likeliest token. Default: the checkpoint's value, else 1."),
  top_p: optional(
    number(0, 1),
    "Samples only from the likeliest tokens whose probabilities add up to this value. Default: the checkpoint's value, else 1.",
  ),
  top_k: optional(integer(-1), "Samples only from this many of the likeliest tokens; 0 or -1: from all."),
  min_p: optional(number(0, 1), "Leaves out tokens whose probability is below this fraction of the likeliest token's."),
  presence_penalty: optional(number(-2, 2), "Subtracted from the logit of each token that was generated before."),
  frequency_penalty: optional(number(-2, 2), "Like `presence_penalty`, but multiplied by how often the token was generated."),
  repetition_penalty: optional(number(0.01, 100), "Above 1, tokens that occur in the prompt or the answer become less likely."),
  logit_bias: optional(logitBias, "Maps token ids to values that are added to their logits."),
  // Not z.int(): clients send 64-bit seeds, which JSON.parse has already rounded.
  seed: optional(
    z.number("an integer").refine(Number.isInteger, "an integer").meta({ type: "integer" }),
    "The same request with the same seed gets the same answer. Random by default.",
  ),
  stop: optional(
    z.union(
      [stopString, z.array(stopString).max(maxStopStrings, `at most ${maxStopStrings} strings`)],
      `a string or an array of at most ${maxStopStrings} strings`,
    ),
    "The answer ends before the first of these strings. They apply to text, not to thinking or tool calls.",
  ),
  cache_salt: optional(
    text.min(1, "a string of at least one character"),
    "Only requests with the same salt (and API key) share cached prefixes.",
  ),
  stop_token_ids: optional(
    z.array(integer(0), "an array of token ids").max(maxStopTokenIds, `at most ${maxStopTokenIds} ids`),
    "Tokens that end the answer.",
  ),
  ignore_eos: optional(flag, "The model's own end tokens do not end the answer. Not allowed with an output format."),
  skip_special_tokens: optional(flag, "If false, control tokens appear in the text."),
  prompt_logprobs: optional(
    z.union([integer(0, maxTopLogprobs), z.literal(false)], `an integer from 0 to ${maxTopLogprobs}, or false`),
    "Adds the log-probability of every prompt token, and of this many of the likeliest tokens in its place. Not for streams.",
  ),
  priority: optional(
    z.int("an integer"),
    "Lower numbers run first among the waiting requests with the same API key; 0 by default. Running requests are not interrupted.",
  ),
  return_token_ids: optional(flag, "Adds the token ids of the prompt and the answer."),
};

/** Throws RequestError when a stream is asked for `prompt_logprobs`, which only a whole answer has. */
export function refuseStreamedPrompt(fields: {
  readonly stream?: boolean | undefined;
  readonly prompt_logprobs?: number | false | undefined;
}): void {
  if (!fields.stream || fields.prompt_logprobs === undefined || fields.prompt_logprobs === false) return;
  throw new RequestError(
    `prompt_logprobs: not supported in a stream, got ${fields.prompt_logprobs}; leave it out, or send "stream": false`,
    {
      code: "unsupported_parameter",
      param: "prompt_logprobs",
    },
  );
}

/** Throws RequestError when `min_tokens` is above the answer's limit, which `maxName` names. */
export function refuseTooFewTokens(minTokens: number, maxTokens: number | undefined, maxName: string): void {
  if (maxTokens === undefined || minTokens <= maxTokens) return;
  throw contradiction("min_tokens", `at most ${maxName} (${maxTokens}), got ${minTokens}`);
}
