// The body of POST /v1/chat/completions: types and ranges of the fields this server reads. Unknown fields are ignored;
// known fields it cannot honour are in unsupported-fields.ts.

import { z } from "zod";
import { RequestError } from "../core/errors.ts";
import { formatFields } from "./output-format.ts";
import { flag, integer, number, oneOf, optional, schemaError, text } from "./schema-fields.ts";
import { toolCall, toolFields } from "./tool-schema.ts";
import { refuseUnsupportedFields } from "./unsupported-fields.ts";

const maxChoices = 8;
export const maxStopStrings = 16;
const maxStopBytes = 256;
const maxStopTokenIds = 128;
const maxBiases = 1024;
const maxTopLogprobs = 20;

const textPart = z.object({ type: z.literal("text"), text });
const imagePart = z.object({
  type: z.literal("image_url"),
  image_url: z.union([text, z.object({ url: text, detail: optional(oneOf("auto", "low", "high")) })], "a string or an object with a url"),
});
const part = z.discriminatedUnion("type", [textPart, imagePart], {
  error: (issue) => (issue.code === "invalid_union" ? '"text" or "image_url"' : 'an object with a type, "text" or "image_url"'),
});
const content = z.union([text, z.array(part).min(1, "at least one part")], "a string or an array of parts");

const message = z.discriminatedUnion(
  "role",
  [
    z.object({ role: z.enum(["system", "developer", "user"]), content }),
    z.object({
      role: z.literal("assistant"),
      content: optional(content),
      reasoning_content: optional(text),
      reasoning: optional(text),
      tool_calls: optional(z.array(toolCall, "an array of tool calls")),
    }),
    z.object({ role: z.literal("tool"), content, tool_call_id: text }),
  ],
  {
    error: (issue) =>
      issue.code === "invalid_union" ? 'one of "system", "developer", "user", "assistant", "tool"' : "an object with role and content",
  },
);

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

export const chatRequest = z.object({
  model: optional(text),
  messages: z.array(message, "an array of messages").min(1, "at least one message"),
  n: optional(integer(1, maxChoices)),
  stream: optional(flag),
  stream_options: optional(z.object({ include_usage: optional(flag) }, "an object")),
  max_completion_tokens: optional(integer(1)),
  max_tokens: optional(integer(1)),
  min_tokens: optional(integer(0)),
  temperature: optional(number(0, 2)),
  top_p: optional(number(0, 1)),
  top_k: optional(integer(-1)),
  min_p: optional(number(0, 1)),
  presence_penalty: optional(number(-2, 2)),
  frequency_penalty: optional(number(-2, 2)),
  repetition_penalty: optional(number(0.01, 100)),
  logit_bias: optional(logitBias),
  logprobs: optional(flag),
  top_logprobs: optional(integer(0, maxTopLogprobs)),
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
  ...toolFields,
  ...formatFields,
  enable_thinking: optional(flag),
  reasoning_max_tokens: optional(integer(0)),
  thinking_token_budget: optional(integer(0)),
  reasoning_effort: optional(oneOf("none", "minimal", "low", "medium", "high", "xhigh", "max")),
  metadata: optional(
    z.object({ enable_thinking: optional(z.union([z.boolean(), z.enum(["true", "false"])], "true or false")) }, "an object"),
  ),
  chat_template_kwargs: optional(
    z.object(
      {
        enable_thinking: optional(flag),
        options: optional(z.object({ thinking_mode: optional(oneOf("open", "close")) }, "an object")),
      },
      "an object",
    ),
  ),
});

export type ChatRequest = z.infer<typeof chatRequest>;
export type RequestMessage = ChatRequest["messages"][number];

/** The request with every field checked. Throws RequestError for the first field that is wrong or cannot be honoured. */
export function parseChatRequest(body: object): ChatRequest {
  refuseUnsupportedFields(body);
  const parsed = chatRequest.safeParse(body);
  if (!parsed.success) throw schemaError(parsed.error, body);
  const { max_tokens: maxTokens, max_completion_tokens: maxCompletionTokens, min_tokens: minTokens = 0 } = parsed.data;
  if (maxTokens !== undefined && maxCompletionTokens !== undefined && maxTokens !== maxCompletionTokens) {
    throw new RequestError(`max_tokens: expected the same as max_completion_tokens (${maxCompletionTokens}) or nothing, got ${maxTokens}`, {
      code: "invalid_value",
      param: "max_tokens",
    });
  }
  const limit = maxCompletionTokens ?? maxTokens;
  if (limit !== undefined && minTokens > limit) {
    throw new RequestError(`min_tokens: expected at most max_completion_tokens (${limit}), got ${minTokens}`, {
      code: "invalid_value",
      param: "min_tokens",
    });
  }
  if (parsed.data.top_logprobs && !parsed.data.logprobs) {
    throw new RequestError(`top_logprobs: expected "logprobs": true beside it, got ${parsed.data.logprobs ?? "nothing"}`, {
      code: "invalid_value",
      param: "top_logprobs",
    });
  }
  return parsed.data;
}
