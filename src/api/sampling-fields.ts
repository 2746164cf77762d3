// Fields of how tokens are chosen and when an answer ends, which chat and text completions share.

import { z } from "zod";
import { RequestError } from "../core/errors.ts";
import { flag, integer, number, optional, text } from "./schema-fields.ts";

const maxChoices = 8;
export const maxStopStrings = 16;
const maxStopBytes = 256;
const maxStopTokenIds = 128;
const maxBiases = 1024;
export const maxTopLogprobs = 20;

export const stopString = text
  .min(1, "a string of at least one character")
  .refine((value) => Buffer.byteLength(value) <= maxStopBytes, `a string of at most ${maxStopBytes} bytes`);

const logitBias = z
  .record(z.string(), number(-100, 100), "an object of token ids and their biases")
  .superRefine((biases, context) => {
    const wrong = Object.keys(biases).find((id) => !/^\d{1,9}$/.test(id));
    if (wrong !== undefined) context.addIssue({ code: "custom", path: [wrong], message: "the id of a token as the name of a bias" });
  })
  .refine((biases) => Object.keys(biases).length <= maxBiases, `at most ${maxBiases} token ids`);

export const samplingFields = {
  n: optional(integer(1, maxChoices)),
  stream: optional(flag),
  stream_options: optional(z.object({ include_usage: optional(flag) }, "an object")),
  min_tokens: optional(integer(0)),
  temperature: optional(number(0, 2)),
  top_p: optional(number(0, 1)),
  top_k: optional(integer(-1)),
  min_p: optional(number(0, 1)),
  presence_penalty: optional(number(-2, 2)),
  frequency_penalty: optional(number(-2, 2)),
  repetition_penalty: optional(number(0.01, 100)),
  logit_bias: optional(logitBias),
  // Not z.int(): clients send 64-bit seeds, which JSON.parse has rounded by now.
  seed: optional(z.number("an integer").refine(Number.isInteger, "an integer")),
  stop: optional(
    z.union(
      [stopString, z.array(stopString).max(maxStopStrings, `at most ${maxStopStrings} strings`)],
      `a string or an array of at most ${maxStopStrings} strings`,
    ),
  ),
  cache_salt: optional(text.min(1, "a string of at least one character")),
  stop_token_ids: optional(z.array(integer(0), "an array of token ids").max(maxStopTokenIds, `at most ${maxStopTokenIds} ids`)),
  ignore_eos: optional(flag),
  skip_special_tokens: optional(flag),
  return_token_ids: optional(flag),
};

/** Throws RequestError when an answer would have to be longer than it may. */
export function refuseTooFewTokens(minTokens: number, maxTokens: number | undefined, maxName: string): void {
  if (maxTokens === undefined || minTokens <= maxTokens) return;
  throw new RequestError(`min_tokens: expected at most ${maxName} (${maxTokens}), got ${minTokens}`, {
    code: "invalid_value",
    param: "min_tokens",
  });
}
