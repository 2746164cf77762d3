// The body of POST /v1/responses: OpenAI's fields, and those of a chat request that this server has besides. Unknown fields are ignored.

import { z } from "zod";
import { RequestError } from "../../core/errors.ts";
import { chatRequest } from "../openai-schema.ts";
import { describe, flag, integer, oneOf, optional, schemaError, text } from "../schema-fields.ts";
import { functionFields, maxTools, toolName } from "../tool-schema.ts";
import { inputField } from "./input-items.ts";

const maxMetadata = 16;

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

const functionType = z.literal("function", '"function", the only type of tools here');
const tool = z.object({ type: functionType, ...functionFields }, "an object with a type and a name");
const namedTool = z.object({ type: functionType, name: toolName }, "an object with a type and a name");

const toolChoice = z.union(
  [
    oneOf("none", "auto", "required"),
    namedTool,
    z.object({
      type: z.literal("allowed_tools"),
      mode: oneOf("auto", "required"),
      tools: z.array(namedTool, "an array of tools").min(1, "at least one tool"),
    }),
  ],
  '"none", "auto", "required", {"type": "function", …} or {"type": "allowed_tools", …}',
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
      schema: z.custom<object>((value) => typeof value === "object" && value !== null && !Array.isArray(value), "a JSON Schema"),
      strict: optional(flag),
    }),
  ],
  { error: 'an object with a type: "text", "json_object" or "json_schema"' },
);

const metadata = z
  .record(text.max(64, "names of at most 64 characters"), text.max(512, "a string of at most 512 characters"), "an object of strings")
  .refine((value) => Object.keys(value).length <= maxMetadata, `at most ${maxMetadata} entries`);

const effort = chatRequest.shape.reasoning_effort;
const label = optional(text.max(512, "a string of at most 512 characters"));

const responsesRequest = z.object({
  ...sharedFields,
  input: inputField,
  instructions: optional(text),
  previous_response_id: optional(text),
  max_output_tokens: optional(integer(1)),
  tools: optional(z.array(tool, "an array of tools").max(maxTools, `at most ${maxTools} tools`)),
  tool_choice: optional(toolChoice),
  text: optional(z.object({ format: optional(textFormat) }, "an object")),
  reasoning: optional(z.object({ effort }, "an object")),
  include: optional(z.array(text, "an array of strings")),
  store: optional(flag),
  metadata: optional(metadata),
  truncation: optional(oneOf("auto", "disabled")),
  safety_identifier: label,
  prompt_cache_key: label,
});

export type ResponsesRequest = z.infer<typeof responsesRequest>;

/** To ignore these would be to do something else than was asked: by name, the value that asks for nothing, and what to do instead. */
const refusedFields: Readonly<Record<string, readonly [neutral: string | boolean | undefined, advice: string]>> = {
  background: [false, "stream the answer, or wait for it"],
  conversation: [undefined, "use previous_response_id"],
  prompt: [undefined, "this server keeps no prompts; send instructions and input"],
  moderation: [undefined, "have the texts moderated elsewhere"],
  context_management: [undefined, "send a shorter conversation"],
};

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
