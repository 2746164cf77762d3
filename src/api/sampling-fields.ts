// Fields of how tokens are chosen and when an answer ends, which chat and text completions share.

import { z } from "zod";
import { RequestError } from "../core/errors.ts";
import { fewEntries, flag, integer, number, optional, text } from "./schema-fields.ts";

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
      if (wrong !== undefined) context.addIssue({ code: "custom", path: [wrong], message: "the id of a token as the name of a bias" });
    })
    .meta({ propertyNames: { pattern: tokenIdName.source }, maxProperties: maxBiases }),
  maxBiases,
  `at most ${maxBiases} token ids`,
);

export const samplingFields = {
  n: optional(integer(1, maxChoices), "How many answers, 1 by default. They share one prefill; their seeds are counted up."),
  stream: optional(flag, "The answer as server-sent events, as it is made."),
  stream_options: optional(z.object({ include_usage: optional(flag, "A last event says what was used.") }, "an object"), "Of a stream."),
  min_tokens: optional(integer(0), "Tokens before which no end token and none of `stop_token_ids` comes; thinking counts."),
  temperature: optional(number(0, 2), "How freely tokens are drawn; 0 takes the likeliest. By default the checkpoint's, else 1."),
  top_p: optional(
    number(0, 1),
    "Draws among the likeliest tokens that have this probability together. By default the checkpoint's, else 1.",
  ),
  top_k: optional(integer(-1), "Draws among so many of the likeliest tokens; 0 and -1: among all."),
  min_p: optional(number(0, 1), "Leaves out tokens less likely than this share of the likeliest one's probability."),
  presence_penalty: optional(number(-2, 2), "Taken from the logits of tokens that were generated before."),
  frequency_penalty: optional(number(-2, 2), "Likewise, as many times as they were."),
  repetition_penalty: optional(number(0.01, 100), "Above 1: tokens of the prompt and the answer become less likely."),
  logit_bias: optional(logitBias, "Token ids and what is added to their logits."),
  // Not z.int(): clients send 64-bit seeds, which JSON.parse has rounded by now.
  seed: optional(
    z.number("an integer").refine(Number.isInteger, "an integer").meta({ type: "integer" }),
    "The same seed and request give the same answer; random by default.",
  ),
  stop: optional(
    z.union(
      [stopString, z.array(stopString).max(maxStopStrings, `at most ${maxStopStrings} strings`)],
      `a string or an array of at most ${maxStopStrings} strings`,
    ),
    "Texts that end the answer before themselves; they hold for text, not for thinking and calls.",
  ),
  cache_salt: optional(
    text.min(1, "a string of at least one character"),
    "Only requests with the same salt (and API key) share what was computed of a prompt.",
  ),
  stop_token_ids: optional(
    z.array(integer(0), "an array of token ids").max(maxStopTokenIds, `at most ${maxStopTokenIds} ids`),
    "Tokens that end the answer.",
  ),
  ignore_eos: optional(flag, "The model's own end tokens do not end the answer; not where the answer has a form."),
  skip_special_tokens: optional(flag, "false: control tokens are spelled out in the text."),
  prompt_logprobs: optional(
    z.union([integer(0, maxTopLogprobs), z.literal(false)], `an integer from 0 to ${maxTopLogprobs}, or false`),
    "Adds the log-probability of every token of the prompt, and those of so many of the likeliest in its place; not in a stream.",
  ),
  priority: optional(
    z.int("an integer"),
    "Among the requests with the same API key that wait, lower numbers come first; 0 by default. What runs is not interrupted.",
  ),
  return_token_ids: optional(flag, "Adds the ids of the prompt's and the answer's tokens."),
};

/** Throws RequestError when a stream shall tell of its prompt what only a whole answer does. */
export function refuseStreamedPrompt(fields: {
  readonly stream?: boolean | undefined;
  readonly prompt_logprobs?: number | false | undefined;
}): void {
  if (!fields.stream || fields.prompt_logprobs === undefined || fields.prompt_logprobs === false) return;
  throw new RequestError(
    `prompt_logprobs: expected nothing in a stream, got ${fields.prompt_logprobs}; leave it out, or send "stream": false`,
    {
      code: "unsupported_parameter",
      param: "prompt_logprobs",
    },
  );
}

/** Throws RequestError when an answer would have to be longer than it may. */
export function refuseTooFewTokens(minTokens: number, maxTokens: number | undefined, maxName: string): void {
  if (maxTokens === undefined || minTokens <= maxTokens) return;
  throw new RequestError(`min_tokens: expected at most ${maxName} (${maxTokens}), got ${minTokens}`, {
    code: "invalid_value",
    param: "min_tokens",
  });
}
