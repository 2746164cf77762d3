// Schemas of what Anthropic's clients receive: every key that is there, and no other. They go into the API's own documents, and tests check
// answers against them. The types are in message.ts.

import { z } from "zod";
import type { Message, MessageEvent } from "./message.ts";

const text = z.string();
const count = z.int().min(0);

const textBlock = z.strictObject({ type: z.literal("text"), text });
const thinkingBlock = z.strictObject({ type: z.literal("thinking"), thinking: text, signature: text });
const toolUseBlock = z.strictObject({
  type: z.literal("tool_use"),
  id: text.regex(/^toolu_/),
  name: text,
  input: z.record(text, z.unknown()),
  caller: z.strictObject({ type: z.literal("direct") }),
});
const block = z.discriminatedUnion("type", [textBlock, thinkingBlock, toolUseBlock]);

const usage = z.strictObject({
  input_tokens: count.describe("Prompt tokens computed for this request."),
  cache_read_input_tokens: count.describe("Prompt tokens found in the cache."),
  cache_creation_input_tokens: z.literal(0),
  cache_creation: z.null(),
  output_tokens: count,
  output_tokens_details: z.strictObject({ thinking_tokens: count }),
  server_tool_use: z.null(),
  service_tier: z.null(),
  inference_geo: z.null(),
  speed: z.null(),
});

const end = {
  stop_reason: z.enum(["end_turn", "max_tokens", "model_context_window_exceeded", "stop_sequence", "tool_use"]).nullable(),
  stop_sequence: text.nullable().describe("The one of `stop_sequences` that ended the answer."),
  stop_details: z.null(),
  container: z.null(),
};

export const messageSchema = z.strictObject({
  id: text.regex(/^msg_/),
  type: z.literal("message"),
  role: z.literal("assistant"),
  model: text,
  content: z.array(block),
  ...end,
  diagnostics: z.null(),
  usage,
}) satisfies z.ZodType<Pick<Message, Exclude<keyof Message, "content">>>;

const delta = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text_delta"), text }),
  z.strictObject({ type: z.literal("thinking_delta"), thinking: text }),
  z.strictObject({ type: z.literal("signature_delta"), signature: text }),
  z.strictObject({ type: z.literal("input_json_delta"), partial_json: text }),
]);

/** The data of the events of a stream. */
export const messageEventSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("message_start"), message: messageSchema }),
  z.strictObject({ type: z.literal("content_block_start"), index: count, content_block: block }),
  z.strictObject({ type: z.literal("content_block_delta"), index: count, delta }),
  z.strictObject({ type: z.literal("content_block_stop"), index: count }),
  z.strictObject({ type: z.literal("message_delta"), delta: z.strictObject(end), usage }),
  z.strictObject({ type: z.literal("message_stop") }),
  z.strictObject({ type: z.literal("ping") }),
]) satisfies z.ZodType<{ readonly type: MessageEvent["type"] }>;

export const messagesErrorSchema = z.strictObject({
  type: z.literal("error"),
  error: z.strictObject({
    type: text,
    message: text,
    details: z.strictObject({ error_code: text.describe("The error code that other routes return as `code`.") }).nullable(),
  }),
  request_id: text,
});

export const countSchema = z.strictObject({ input_tokens: count });

export const modelInfoSchema = z.strictObject({
  type: z.literal("model"),
  id: text,
  display_name: text,
  created_at: text,
  max_input_tokens: count,
  max_tokens: count,
  capabilities: z.null(),
  lifecycle: z.literal("active"),
  line: z.null(),
  deprecated_at: z.null(),
  retires_at: z.null(),
});

export const modelPageSchema = z.strictObject({
  data: z.array(modelInfoSchema),
  has_more: z.literal(false),
  first_id: text,
  last_id: text,
});
