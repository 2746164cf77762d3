// The bodies of POST /v1/messages and /v1/messages/count_tokens: types and ranges of the fields this server reads. Unknown fields are
// ignored: clients send many that mean something to Anthropic's own service only.

import { z } from "zod";
import { maxConversationItems } from "../../chat/json-bounds.ts";
import { RequestError } from "../../core/errors.ts";
import { chatRequest } from "../openai-schema.ts";
import { maxStopStrings, stopString } from "../sampling-fields.ts";
import { jsonSchema } from "../output-format.ts";
import { describe, flag, integer, optional, schemaError, text } from "../schema-fields.ts";
import { boundedObject } from "../tool-schema.ts";
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
  content: optional(contentOf(textBlock, imageBlock, documentBlock, searchResultBlock, toolReferenceBlock), "What came back."),
  is_error: optional(flag, "The call failed: the model reads `Error: ` first."),
});
const toolUseBlock = z.object({ type: z.literal("tool_use"), id: text, name: toolName, input: boundedObject });
/** Signatures are not looked at: this server has none to check. */
const thinkingBlock = z.object({ type: z.literal("thinking"), thinking: text });
const redactedThinkingBlock = z.object({ type: z.literal("redacted_thinking") });
/** Where another model had taken over. */
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

/** What makes the prompt: all that count_tokens reads. */
const promptFields = {
  model: optional(text, "A served name, or nothing."),
  system: optional(contentOf(textBlock), "What the model is told before the conversation."),
  messages: z
    .array(message, "an array of messages")
    .min(1, "at least one message")
    .max(maxConversationItems, `at most ${maxConversationItems} messages`)
    .describe(
      "The conversation so far, oldest first. Where the last message is the assistant's, the model goes on with it, and the answer is the rest.",
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
    "Whether the model thinks first, and how many tokens at most; by default as the server was started.",
  ),
  enable_thinking: chatRequest.shape.enable_thinking,
  chat_template_kwargs: chatRequest.shape.chat_template_kwargs,
};
export const promptRequest = z.object(promptFields);

const { temperature, top_p: topP, top_k: topK, seed, stream } = chatRequest.shape;
export const messageRequest = z.object({
  ...promptFields,
  max_tokens: integer(0).describe(
    "Tokens that the answer may have, thinking included; 0: the prompt is computed for later, and not answered.",
  ),
  stop_sequences: optional(
    z.array(stopString, "an array of strings").max(maxStopStrings, `at most ${maxStopStrings} strings`),
    "Texts that end the answer before themselves; they hold for text, not for thinking and calls.",
  ),
  output_config: optional(
    z.object({ format: outputFormat }, "an object"),
    "The form of the answer, enforced token by token. Beside tools, the answer is calls or has this form.",
  ),
  output_format: outputFormat.describe("The older name of `output_config.format`."),
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
/** Of a message, or in a tool's result. */
export type Block = MessageBlock | ContentBlock;
export type BlockOf<Type extends Block["type"]> = Extract<Block, { type: Type }>;

/** Throws RequestError for the first field that is wrong or cannot be honoured. */
export function parseMessageRequest(body: object): MessageRequest {
  return parse(messageRequest, body);
}

/** As above. */
export function parsePromptRequest(body: object): PromptRequest {
  return parse(promptRequest, body);
}

function parse<T extends PromptRequest>(schema: z.ZodType<T>, body: object): T {
  refuseUnsupportedFields(body);
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw schemaError(parsed.error, body);
  return parsed.data;
}

/** To ignore these would be to answer something else. By the code of `thread`, clients know that they can go on with whole conversations. */
const refusedFields = {
  container: "unsupported_parameter",
  mcp_servers: "unsupported_parameter",
  thread: "thread_unsupported_request",
};

/** What the refused fields may hold, for the API's own documents. */
export const unsupportedFields = Object.fromEntries(
  Object.keys(refusedFields).map((field) => [field, z.array(z.unknown()).max(0).nullish().describe("Not supported: leave it out.")]),
);

function refuseUnsupportedFields(body: object): void {
  for (const [param, code] of Object.entries(refusedFields)) {
    const value: unknown = Object.hasOwn(body, param) ? (body as Record<string, unknown>)[param] : undefined;
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue;
    throw new RequestError(`${param}: this server supports none, got ${describe(value)}; leave it out`, { code, param });
  }
}
