// Schemas of the objects and events of the Responses API, from the specifications of OpenAI and openresponses: every key that must be there,
// and no other. They go into the API's own documents, and tests check answers against them.

import { z } from "zod";

const text = z.string();
const nullableText = text.nullable();
const count = z.int().min(0);
const nothing = z.array(z.never()).max(0);
const itemStatus = z.enum(["in_progress", "completed", "incomplete"]);

const topLogprob = z.strictObject({ token: text, logprob: z.number(), bytes: z.array(z.int()) });
const logprobs = z.array(z.strictObject({ ...topLogprob.shape, top_logprobs: z.array(topLogprob) }));
const outputText = z.strictObject({ type: z.literal("output_text"), text, annotations: nothing, logprobs });
const reasoningText = z.strictObject({ type: z.literal("reasoning_text"), text });
const summaryText = z.strictObject({ type: z.literal("summary_text"), text });

const callHead = {
  call_id: text.regex(/^call_/),
  name: text.min(1),
  namespace: text.optional().describe("The namespace that the tool was declared in."),
};

const item = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("message"),
    id: text.regex(/^msg_/),
    status: itemStatus,
    role: z.literal("assistant"),
    content: z.array(outputText),
  }),
  z.strictObject({
    type: z.literal("reasoning"),
    id: text.regex(/^rs_/),
    status: itemStatus,
    summary: z.array(summaryText),
    content: z.array(reasoningText),
    encrypted_content: text.optional().describe("Only with `include`: the thinking again, for clients that send back nothing else."),
  }),
  z.strictObject({ type: z.literal("function_call"), id: text.regex(/^fc_/), status: itemStatus, ...callHead, arguments: text }),
  z.strictObject({ type: z.literal("custom_tool_call"), id: text.regex(/^ctc_/), status: itemStatus, ...callHead, input: text }),
]);

const functionTool = z.strictObject({
  type: z.literal("function"),
  name: text,
  description: nullableText,
  parameters: z.record(text, z.unknown()).nullable(),
  strict: z.boolean(),
});
const customTool = z.strictObject({
  type: z.literal("custom"),
  name: text,
  description: text.optional(),
  format: z.union([
    z.strictObject({ type: z.literal("text") }),
    z.strictObject({ type: z.literal("grammar"), syntax: z.enum(["lark", "regex"]), definition: text }),
  ]),
});
const callableTool = z.discriminatedUnion("type", [functionTool, customTool]);
const namespaceTool = z.strictObject({ type: z.literal("namespace"), name: text, description: text, tools: z.array(callableTool) });
const tool = z.discriminatedUnion("type", [functionTool, customTool, namespaceTool]);
const namedTool = z.strictObject({ type: z.enum(["function", "custom"]), name: text });

const usage = z
  .strictObject({
    input_tokens: count,
    input_tokens_details: z.strictObject({ cached_tokens: count, cache_write_tokens: count }),
    output_tokens: count,
    output_tokens_details: z.strictObject({ reasoning_tokens: count }),
    total_tokens: count,
  })
  .refine((value) => value.total_tokens === value.input_tokens + value.output_tokens);

const textFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({
    type: z.literal("json_schema"),
    name: text,
    description: text.optional(),
    schema: z.record(text, z.unknown()),
    strict: z.boolean(),
  }),
]);

export const responseSchema = z.strictObject({
  id: text.regex(/^resp_[0-9a-f]{32}$/),
  object: z.literal("response"),
  created_at: count,
  completed_at: count.nullable(),
  status: z.enum(["completed", "failed", "in_progress", "cancelled", "incomplete"]),
  access_programs: z.null(),
  background: z.literal(false),
  error: z.strictObject({ code: z.enum(["server_error", "invalid_prompt"]), message: text }).nullable(),
  incomplete_details: z.strictObject({ reason: z.literal("max_output_tokens") }).nullable(),
  instructions: nullableText,
  max_output_tokens: count.nullable(),
  max_tool_calls: z.null(),
  model: text,
  output: z.array(item),
  parallel_tool_calls: z.boolean(),
  previous_response_id: nullableText,
  prompt_cache_key: nullableText,
  reasoning: z.strictObject({
    effort: z.enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"]).nullable(),
    summary: z.enum(["auto", "concise", "detailed"]).nullable(),
  }),
  safety_identifier: nullableText,
  service_tier: z.literal("default"),
  store: z.boolean(),
  temperature: z.number(),
  presence_penalty: z.number(),
  frequency_penalty: z.number(),
  text: z.strictObject({ format: textFormat, verbosity: z.literal("medium") }),
  tool_choice: z.union([
    z.enum(["none", "auto", "required"]),
    namedTool,
    z.strictObject({ type: z.literal("allowed_tools"), mode: z.enum(["auto", "required"]), tools: z.array(namedTool) }),
  ]),
  tools: z.array(tool),
  top_logprobs: count,
  top_p: z.number(),
  truncation: z.literal("disabled"),
  usage: usage.nullable(),
  metadata: z.record(text, text),
});

const place = { item_id: text, output_index: count, content_index: z.literal(0) };
const summaryPlace = { item_id: text.regex(/^rs_/), output_index: count, summary_index: z.literal(0) };
const call = { item_id: text.regex(/^fc_/), output_index: count };
const customCall = { item_id: text.regex(/^ctc_/), output_index: count };
const part = z.union([outputText, reasoningText]);

function event<const T extends string, Fields extends z.ZodRawShape>(type: T, fields: Fields) {
  return z.strictObject({ type: z.literal(type), sequence_number: count, ...fields });
}

export const eventSchema = z.discriminatedUnion("type", [
  event("response.created", { response: responseSchema }),
  event("response.in_progress", { response: responseSchema }),
  event("response.output_item.added", { output_index: count, item }),
  event("response.content_part.added", { ...place, part }),
  event("response.reasoning_text.delta", { ...place, delta: text.min(1) }),
  event("response.reasoning_text.done", { ...place, text }),
  event("response.reasoning_summary_part.added", { ...summaryPlace, part: summaryText }),
  event("response.reasoning_summary_text.delta", { ...summaryPlace, delta: text.min(1) }),
  event("response.reasoning_summary_text.done", { ...summaryPlace, text }),
  event("response.reasoning_summary_part.done", { ...summaryPlace, part: summaryText }),
  event("response.output_text.delta", { ...place, delta: text.min(1), logprobs }),
  event("response.output_text.done", { ...place, text, logprobs }),
  event("response.function_call_arguments.delta", { ...call, delta: text.min(1) }),
  event("response.function_call_arguments.done", { ...call, name: text, arguments: text }),
  event("response.custom_tool_call_input.delta", { ...customCall, delta: text.min(1) }),
  event("response.custom_tool_call_input.done", { ...customCall, input: text }),
  event("response.content_part.done", { ...place, part }),
  event("response.output_item.done", { output_index: count, item }),
  event("response.completed", { response: responseSchema }),
  event("response.incomplete", { response: responseSchema }),
  event("response.failed", { response: responseSchema }),
  event("error", {
    code: nullableText,
    message: text,
    param: nullableText,
    error: z.strictObject({ type: text, code: nullableText, message: text, param: nullableText }),
  }),
]);

const status = z.literal("completed");
const inputParts = z.array(
  z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("input_text"), text }),
    z.strictObject({ type: z.literal("input_image"), image_url: text, detail: z.enum(["auto", "low", "high", "original"]) }),
    z.strictObject({
      type: z.literal("input_file"),
      file_data: text.optional(),
      file_url: text.optional(),
      filename: text.optional(),
      detail: z.enum(["auto", "low", "high"]).optional(),
    }),
  ]),
);
const outputParts = z.array(
  z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("output_text"), text, annotations: nothing, logprobs: nothing }),
    z.strictObject({ type: z.literal("refusal"), refusal: text }),
  ]),
);

const listedMessage = { type: z.literal("message"), id: text, status };
const listedCall = { id: text, status, call_id: text, name: text, namespace: text.optional() };
const listedResult = { id: text, status, call_id: text, output: z.union([text, inputParts]) };

/** The answer of GET /v1/responses/{id}/input_items. */
export const inputItemsSchema = z.strictObject({
  object: z.literal("list"),
  data: z.array(
    z.discriminatedUnion("type", [
      z.discriminatedUnion("role", [
        z.strictObject({ ...listedMessage, role: z.enum(["user", "system", "developer"]), content: inputParts }),
        z.strictObject({ ...listedMessage, role: z.literal("assistant"), content: outputParts }),
      ]),
      z.strictObject({ type: z.literal("function_call"), ...listedCall, arguments: text }),
      z.strictObject({ type: z.literal("custom_tool_call"), ...listedCall, input: text }),
      z.strictObject({ type: z.literal("function_call_output"), ...listedResult }),
      z.strictObject({ type: z.literal("custom_tool_call_output"), ...listedResult }),
      z.strictObject({ type: z.literal("reasoning"), id: text, status, summary: z.array(summaryText), content: z.array(reasoningText) }),
    ]),
  ),
  first_id: nullableText,
  last_id: nullableText,
  has_more: z.boolean(),
});

/** The answer of POST /v1/responses/input_tokens. */
export const inputTokensSchema = z.strictObject({ object: z.literal("response.input_tokens"), input_tokens: count });

/** The answer of DELETE /v1/responses/{id}. */
export const deletedSchema = z.strictObject({ id: text, object: z.literal("response"), deleted: z.literal(true) });
