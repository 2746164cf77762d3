// The items of a conversation in the Responses API: messages, calls, results of calls, thinking. Clients send such items and receive them.

import { z } from "zod";
import { maxConversationItems } from "../../chat/json-bounds.ts";
import { inputFile } from "../file-schema.ts";
import { oneOf, optional, text, textOrArray } from "../schema-fields.ts";
import { toolName } from "../tool-schema.ts";
import { fromPortable } from "./portable-thought.ts";

const inputText = z.object({ type: z.literal("input_text"), text });
const inputImage = z.object({
  type: z.literal("input_image"),
  image_url: z.string("a string with the picture's URL (uploaded files are not supported)"),
  detail: optional(oneOf("auto", "low", "high", "original")),
});
const outputText = z.object({ type: z.literal("output_text"), text });
const refusal = z.object({ type: z.literal("refusal"), refusal: text });

const inputPart = z.discriminatedUnion("type", [inputText, inputImage, inputFile], {
  error: 'a part of type "input_text", "input_image" or "input_file"',
});
const assistantPart = z.discriminatedUnion("type", [outputText, refusal, inputText], {
  error: 'a part of type "output_text" or "refusal"',
});

const someParts = <Part extends z.ZodType>(parts: z.ZodArray<Part>) => textOrArray(parts, maxConversationItems, "parts");
const inputContent = someParts(z.array(inputPart).min(1, "at least one part"));
const assistantContent = someParts(z.array(assistantPart));

const id = optional(text);

const message = z.discriminatedUnion(
  "role",
  [
    z
      .object({ type: inferredType("message"), id, role: z.enum(["user", "system", "developer"]), content: inputContent })
      .meta({ required: ["role", "content"] }),
    z
      .object({ type: inferredType("message"), id, role: z.literal("assistant"), content: assistantContent })
      .meta({ required: ["role", "content"] }),
  ],
  { error: 'a message with a role: "user", "assistant", "system" or "developer"' },
);

const namespace = optional(toolName, "The namespace that the tool was declared in.").optional();
const functionCall = z.object({ type: z.literal("function_call"), id, call_id: text, name: toolName, namespace, arguments: text });
const customCall = z.object({ type: z.literal("custom_tool_call"), id, call_id: text, name: toolName, namespace, input: text });

const result = { id, call_id: text, output: someParts(z.array(inputPart)) };
const functionCallOutput = z.object({ type: z.literal("function_call_output"), ...result });
const customCallOutput = z.object({ type: z.literal("custom_tool_call_output"), ...result });

const thoughtParts = <const Type extends string>(type: Type) =>
  z
    .array(z.object({ type: z.literal(type), text }), `an array of parts of type ${type}`)
    .max(maxConversationItems, `at most ${maxConversationItems} parts`);

const reasoning = z
  .object({
    type: z.literal("reasoning"),
    id,
    content: optional(thoughtParts("reasoning_text")),
    encrypted_content: optional(text, "As this server returned it. Used only when there is no `content`."),
    summary: optional(thoughtParts("summary_text"), "Used only when there is neither of the others."),
  })
  .transform(({ encrypted_content: portable = "", content = [], summary = [], ...item }) => {
    return { ...item, summary, content: content.length > 0 ? content : fromPortable(portable) };
  });

const itemReference = z.object({ type: inferredType("item_reference"), id: text }).meta({ required: ["id"] });

const item = z.preprocess(
  withType,
  z.discriminatedUnion("type", [message, functionCall, functionCallOutput, customCall, customCallOutput, reasoning, itemReference], {
    error:
      'an item of type "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", ' +
      '"reasoning" or "item_reference"',
  }),
);

/** The field `input` of a request. */
export const inputField = z.union(
  [
    text.min(1, "at least one character"),
    z.array(item, "an array of items").min(1, "at least one item").max(maxConversationItems, `at most ${maxConversationItems} items`),
  ],
  `a string or an array of 1 to ${maxConversationItems} items`,
);

type AnyItem = z.infer<typeof item>;
export type ItemReference = z.infer<typeof itemReference>;

/** An item that says what it is. */
export type Item = Exclude<AnyItem, ItemReference>;
type MessageItem = z.infer<typeof message>;
export type ContentPart = Exclude<MessageItem["content"], string>[number];

export function toItems(input: z.infer<typeof inputField>): AnyItem[] {
  return typeof input === "string" ? [{ type: "message", id: undefined, role: "user", content: input }] : input;
}

/** A type that `withType` fills in, so that the API's documents list it as optional. */
function inferredType<const Type extends string>(type: Type) {
  return z.literal(type).meta({ type: ["string", "null"], enum: [type, null], const: undefined });
}

/** Messages and references may leave out their type. */
function withType(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  if (((value as { type?: unknown }).type ?? undefined) !== undefined) return value;
  return { ...value, type: "role" in value || !("id" in value) ? "message" : "item_reference" };
}
