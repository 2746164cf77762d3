// The body of POST /v1/responses: OpenAI's fields, and the extra fields of a chat request.

import { z } from "zod";
import { chatRequest } from "../openai-schema.ts";
import { jsonSchema } from "../output-format.ts";
import { fewEntries, flag, integer, oneOf, optional, parseFields, text } from "../schema-fields.ts";
import { maxTools, toolName } from "../tool-schema.ts";
import { never, off, only, refuseFields, toNeutralSchemas } from "../unsupported-fields.ts";
import { inputField } from "./input-items.ts";
import { toolsField } from "./tools.ts";

const maxMetadata = 16;
const maxIncluded = 100;

/** Fields that mean the same in both requests. */
const sharedFields = chatRequest.pick({
  model: true,
  stream: true,
  temperature: true,
  top_p: true,
  top_k: true,
  min_p: true,
  presence_penalty: true,
  frequency_penalty: true,
  repetition_penalty: true,
  logit_bias: true,
  seed: true,
  stop: true,
  stop_token_ids: true,
  min_tokens: true,
  ignore_eos: true,
  skip_special_tokens: true,
  cache_salt: true,
  priority: true,
  top_logprobs: true,
  parallel_tool_calls: true,
  structured_outputs: true,
  guided_json: true,
  guided_regex: true,
  guided_choice: true,
  guided_grammar: true,
  enable_thinking: true,
  reasoning_max_tokens: true,
  thinking_token_budget: true,
  chat_template_kwargs: true,
}).shape;

const namedTool = z.object(
  { type: z.literal(["function", "custom"], '"function" or "custom"'), name: toolName },
  "an object with a type and a name",
);

const toolChoice = z.union(
  [
    oneOf("none", "auto", "required"),
    namedTool,
    z.object({
      type: z.literal("allowed_tools"),
      mode: oneOf("auto", "required"),
      tools: z.array(namedTool, "an array of tools").min(1, "at least one tool").max(maxTools, `at most ${maxTools} tools`),
    }),
  ],
  '"none", "auto", "required", {"type": "function", …}, {"type": "custom", …} or {"type": "allowed_tools", …}',
);

const textFormat = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text") }),
    z.object({ type: z.literal("json_object") }),
    z.object({
      type: z.literal("json_schema"),
      name: optional(text),
      description: optional(text),
      schema: jsonSchema,
      strict: optional(flag),
    }),
  ],
  { error: 'an object with a type: "text", "json_object" or "json_schema"' },
);

const metadata = fewEntries(
  z
    .record(text.max(64, "names of at most 64 characters"), text.max(512, "a string of at most 512 characters"), "an object of strings")
    .meta({ maxProperties: maxMetadata }),
  maxMetadata,
  `at most ${maxMetadata} entries`,
);

const effort = chatRequest.shape.reasoning_effort;
const summary = optional(oneOf("auto", "concise", "detailed"), "Returns the thinking, in full, as a summary instead of as content.");
const label = optional(text.max(512, "a string of at most 512 characters"));

export const responsesRequest = z.object({
  ...sharedFields,
  input: inputField.describe("The input for the model: a text, or the items of a conversation."),
  instructions: optional(text, "System text before the conversation. It does not carry over to the next response."),
  previous_response_id: optional(text, "Continues the conversation that ends with this stored response."),
  max_output_tokens: optional(
    integer(1),
    "The most tokens that the answer may have, thinking included. By default, as many as the context has room for.",
  ),
  tools: optional(toolsField, "The tools that the model may call: functions and custom tools, also in namespaces."),
  tool_choice: optional(toolChoice, "Whether the model calls tools, and which. By default, the model decides."),
  text: optional(z.object({ format: optional(textFormat) }, "an object"), "The output format, enforced token by token."),
  reasoning: optional(z.object({ effort, summary }, "an object"), "Whether the model thinks first, and where the thinking is returned."),
  include: optional(
    z.array(text, "an array of strings").max(maxIncluded, `at most ${maxIncluded} strings`),
    "`message.output_text.logprobs` adds log-probabilities; `reasoning.encrypted_content` adds thinking in a form to send back. Other values are ignored.",
  ),
  store: optional(flag, "Whether the response is kept in memory for a while, to be read or continued; true by default."),
  metadata: optional(metadata, "The client's own data, returned with the response."),
  truncation: optional(oneOf("auto", "disabled"), "Has no effect: input that does not fit into the context is a 400."),
  safety_identifier: label.describe("Returned with the response; has no other effect."),
  prompt_cache_key: label.describe("Returned with the response; has no other effect, because cached prefixes are found without it."),
});

export type ResponsesRequest = z.infer<typeof responsesRequest>;

/** Fields that are refused, because ignoring them would do something else than was asked. */
const rules = {
  background: only("false", off, "stream the answer, or wait for it"),
  conversation: never("use previous_response_id"),
  prompt: never("this server keeps no prompts; send instructions and input"),
  moderation: never("use a separate service to moderate texts"),
  context_management: never("send a shorter conversation"),
  // Names from chat completions. OpenAI refuses them here too.
  response_format: never("use text.format"),
  max_tokens: never("use max_output_tokens"),
  max_completion_tokens: never("use max_output_tokens"),
  reasoning_effort: never("use reasoning.effort"),
};
export const unsupportedInResponses = toNeutralSchemas(rules);
export const responsesFields = Object.keys({ ...responsesRequest.shape, ...unsupportedInResponses });

/** The request with every field checked. Throws RequestError for the first field that is wrong or cannot be honoured. */
export function parseResponsesRequest(body: object): ResponsesRequest {
  refuseFields(body, rules);
  return parseFields(responsesRequest, body);
}
