// The bodies of POST /v1/messages and /v1/messages/count_tokens: types and ranges of the fields that this server reads.

import { z } from "zod";
import { maxConversationItems } from "../../chat/json-bounds.ts";
import { chatRequest } from "../openai-schema.ts";
import { maxStopStrings, stopString } from "../sampling-fields.ts";
import { jsonSchema } from "../output-format.ts";
import { flag, integer, optional, parseFields, text } from "../schema-fields.ts";
import { boundedObject } from "../tool-schema.ts";
import { emptyList, leaveOut, never, refuseFields, toNeutralSchemas } from "../unsupported-fields.ts";
import {
  type ContentBlock,
  contentOf,
  documentBlock,
  imageBlock,
  searchResultBlock,
  textBlock,
  toolReferenceBlock,
} from "./content-blocks.ts";
import { toolChangeBlocks, toolFields, toolName } from "./tools.ts";

const toolResultBlock = z.object({
  type: z.literal("tool_result"),
  tool_use_id: text,
  content: optional(contentOf(textBlock, imageBlock, documentBlock, searchResultBlock, toolReferenceBlock), "The result of the call."),
  is_error: optional(flag, "The call failed. The model reads the content after `Error: `."),
});
const toolUseBlock = z.object({ type: z.literal("tool_use"), id: text, name: toolName, input: boundedObject });
/** Signatures are ignored: this server issues none that could be checked. */
const thinkingBlock = z.object({ type: z.literal("thinking"), thinking: text });
const redactedThinkingBlock = z.object({ type: z.literal("redacted_thinking") });
/** Marks where another model took over. */
const fallbackBlock = z.object({ type: z.literal("fallback") });

const message = z.discriminatedUnion(
  "role",
  [
    z.object({
      role: z.literal("user"),
      content: contentOf(textBlock, imageBlock, documentBlock, searchResultBlock, toolResultBlock, ...toolChangeBlocks),
    }),
    z.object({
      role: z.literal("assistant"),
      content: contentOf(textBlock, thinkingBlock, redactedThinkingBlock, toolUseBlock, fallbackBlock),
    }),
    z.object({ role: z.literal("system"), content: contentOf(textBlock, ...toolChangeBlocks) }),
  ],
  {
    error: (issue) => (issue.code === "invalid_union" ? 'one of "user", "assistant", "system"' : "an object with role and content"),
  },
);

const outputFormat = optional(z.object({ type: z.literal("json_schema", '"json_schema"'), schema: jsonSchema }, "an object with a schema"));

/** The fields that form the prompt, which are all that count_tokens reads. */
const promptFields = {
  model: optional(text, "One of the served model's names. May be left out."),
  system: optional(contentOf(textBlock), "System text before the conversation."),
  messages: z
    .array(message, "an array of messages")
    .min(1, "at least one message")
    .max(maxConversationItems, `at most ${maxConversationItems} messages`)
    .describe(
      "The conversation so far, oldest first. If the last message is the assistant's, the model continues it, and the answer holds only what was added.",
    ),
  ...toolFields,
  thinking: optional(
    z.discriminatedUnion(
      "type",
      [
        z.object({ type: z.literal("enabled"), budget_tokens: integer(1) }),
        z.object({ type: z.literal("adaptive") }),
        z.object({ type: z.literal("disabled") }),
      ],
      'an object with a type, "enabled", "adaptive" or "disabled"',
    ),
    "Whether the model thinks first, and for at most how many tokens. Default: the server's `--default-thinking`, else the chat template's choice.",
  ),
  enable_thinking: chatRequest.shape.enable_thinking,
  chat_template_kwargs: chatRequest.shape.chat_template_kwargs,
};
export const promptRequest = z.object(promptFields);

const { temperature, top_p: topP, top_k: topK, seed, stream } = chatRequest.shape;
export const messageRequest = z.object({
  ...promptFields,
  max_tokens: integer(0).describe(
    "The most tokens that the answer may have, thinking included. 0: the prompt is computed and cached, but not answered.",
  ),
  stop_sequences: optional(
    z.array(stopString, "an array of strings").max(maxStopStrings, `at most ${maxStopStrings} strings`),
    "The answer ends before the first of these strings. They apply to text, not to thinking or tool calls.",
  ),
  output_config: optional(
    z.object({ format: outputFormat }, "an object"),
    "The output format, enforced token by token. With tools, the answer is either tool calls or in this format.",
  ),
  output_format: outputFormat.describe("The older name for `output_config.format`."),
  temperature,
  top_p: topP,
  top_k: topK,
  seed,
  stream,
});

export type PromptRequest = z.infer<typeof promptRequest>;
export type MessageRequest = z.infer<typeof messageRequest>;
export type RequestMessage = PromptRequest["messages"][number];
type MessageBlock = Exclude<RequestMessage["content"], string>[number];
/** A block of a message or of a tool's result. */
export type Block = MessageBlock | ContentBlock;
export type BlockOf<Type extends Block["type"]> = Extract<Block, { type: Type }>;

/** Fields that are refused, because ignoring them would answer something else. The code for `thread` tells clients to send whole conversations. */
const rules = {
  container: never(leaveOut, emptyList),
  mcp_servers: never(leaveOut, emptyList),
  thread: { ...never(leaveOut, emptyList), code: "thread_unsupported_request" },
};
export const unsupportedInMessages = toNeutralSchemas(rules);
export const messageFields = Object.keys({ ...messageRequest.shape, ...unsupportedInMessages });

/** Throws RequestError for the first field that is wrong or cannot be honoured. */
export function parseMessageRequest(body: object): MessageRequest {
  refuseFields(body, rules);
  return parseFields(messageRequest, body);
}

/** As above. */
export function parsePromptRequest(body: object): PromptRequest {
  refuseFields(body, rules);
  return parseFields(promptRequest, body);
}
