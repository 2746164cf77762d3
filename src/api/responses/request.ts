// The body of POST /v1/responses: OpenAI's fields, and those of a chat request that this server has besides. Unknown fields are ignored.

import { z } from "zod";
import { RequestError } from "../../core/errors.ts";
import { chatRequest } from "../openai-schema.ts";
import { jsonSchema } from "../output-format.ts";
import { describe, fewEntries, flag, integer, oneOf, optional, schemaError, text } from "../schema-fields.ts";
import { maxTools, toolName } from "../tool-schema.ts";
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
const label = optional(text.max(512, "a string of at most 512 characters"));

export const responsesRequest = z.object({
  ...sharedFields,
  input: inputField.describe("What the model is asked: a text, or the items of a conversation."),
  instructions: optional(text, "What the model is told before the conversation; not kept for the next response."),
  previous_response_id: optional(text, "Goes on with the conversation that this stored response ended."),
  max_output_tokens: optional(integer(1), "Tokens that the answer may have, thinking included; by default, what the context has room for."),
  tools: optional(toolsField, "What the model may call: functions and custom tools, in namespaces too."),
  tool_choice: optional(toolChoice, "Whether the model calls, and what; by default as it likes."),
  text: optional(z.object({ format: optional(textFormat) }, "an object"), "The form of the answer, enforced token by token."),
  reasoning: optional(z.object({ effort }, "an object"), "Whether the model thinks first."),
  include: optional(
    z.array(text, "an array of strings").max(maxIncluded, `at most ${maxIncluded} strings`),
    "`message.output_text.logprobs` adds log-probabilities, `reasoning.encrypted_content` thinking in a form to send back; others are ignored.",
  ),
  store: optional(flag, "Whether the response is kept in memory, for a while, to be read or built upon; true by default."),
  metadata: optional(metadata, "The client's own; comes back with the response."),
  truncation: optional(oneOf("auto", "disabled"), "Means nothing here: what does not fit the context is a 400."),
  safety_identifier: label.describe("Comes back with the response, and means nothing here."),
  prompt_cache_key: label.describe("Likewise: prefixes are found without it."),
});

export type ResponsesRequest = z.infer<typeof responsesRequest>;

/** To ignore these would be to do something else than was asked: by name, the value that asks for nothing, and what to do instead. */
const refusedFields: Readonly<Record<string, readonly [neutral: string | boolean | undefined, advice: string]>> = {
  background: [false, "stream the answer, or wait for it"],
  conversation: [undefined, "use previous_response_id"],
  prompt: [undefined, "this server keeps no prompts; send instructions and input"],
  moderation: [undefined, "have the texts moderated elsewhere"],
  context_management: [undefined, "send a shorter conversation"],
  // Chat completions call them so. OpenAI refuses them here, too.
  response_format: [undefined, "use text.format"],
  max_tokens: [undefined, "use max_output_tokens"],
  max_completion_tokens: [undefined, "use max_output_tokens"],
  reasoning_effort: [undefined, "use reasoning.effort"],
};

/** What these fields may hold, for the API's own documents. */
export const unsupportedFields = Object.fromEntries(
  Object.entries(refusedFields).map(([field, [neutral, advice]]) => [
    field,
    (neutral === undefined ? z.null() : z.literal([neutral, null]))
      .optional()
      .describe(`${neutral === undefined ? "Not supported" : `Only ${neutral} is supported`}: ${advice}.`),
  ]),
);

/** The request with every field checked. Throws RequestError for the first field that is wrong or cannot be honoured. */
export function parseResponsesRequest(body: object): ResponsesRequest {
  for (const [field, [neutral, advice]] of Object.entries(refusedFields)) {
    const value = (body as Record<string, unknown>)[field] ?? undefined;
    if (value === undefined || value === neutral) continue;
    const expected = neutral === undefined ? "nothing" : String(neutral);
    throw new RequestError(`${field}: this server supports only ${expected}, got ${describe(value)}; ${advice}`, {
      code: "unsupported_parameter",
      param: field,
    });
  }
  const parsed = responsesRequest.safeParse(body);
  if (!parsed.success) throw schemaError(parsed.error, body);
  return parsed.data;
}
