// Tools and calls as a chat template sees them: marked like all of a client's texts.

import type { JsonObject, Tool, ToolCall } from "../core/chat.ts";
import { parseJson } from "../core/parse-json.ts";
import { countJsonValues } from "./json-bounds.ts";
import type { MarkedTexts } from "./marked-texts.ts";

/** The shape that Hugging Face templates expect, OpenAI's. */
export type TemplateTool = { readonly type: "function"; readonly function: JsonObject };
export type TemplateCall = {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: unknown };
};

/** What a template understands as the arguments of a call: their JSON, or the object it says. */
export type ArgumentsFormat = "text" | "object";

/**
 * Words that JSON Schema gives a meaning to. Templates ask for them, so they stay in the open; all other strings are marked. None
 * of them is a control token, whatever a template writes around it.
 */
const schemaKeys = new Set(
  (
    "type properties required items enum const description title default examples format pattern additionalProperties anyOf oneOf " +
    "allOf not minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems uniqueItems " +
    "minProperties maxProperties prefixItems nullable strict $ref $defs $schema definitions"
  ).split(" "),
);
const typeNames = new Set(["string", "number", "integer", "boolean", "object", "array", "null"]);

/** In UTF-16 units. On strings some times longer, `respaceJson` runs out of the stack that regular expressions have. */
const maxArgumentsLength = 2 ** 20;

export function toTemplateTool(tool: Tool, texts: MarkedTexts): TemplateTool {
  const { name, description, parameters } = tool;
  return {
    type: "function",
    function: {
      name: texts.mark(name),
      ...(description !== undefined && { description: texts.mark(description) }),
      ...(parameters !== undefined && { parameters: markJson(parameters, texts) }),
    },
  };
}

/** Arguments that are no JSON object, or too large a one, are shown as they are: the model may have written them so. */
export function toTemplateCall(call: ToolCall, format: ArgumentsFormat, texts: MarkedTexts): TemplateCall {
  const shown = { id: texts.mark(call.id), type: "function" as const };
  const name = texts.mark(call.name);
  const object = parseObject(call.arguments);
  if (object === undefined) return { ...shown, function: { name, arguments: texts.mark(call.arguments) } };
  const text = format === "text" ? texts.mark(respaceJson(call.arguments)) : undefined;
  return { ...shown, function: { name, arguments: text ?? markJson(object, texts) } };
}

function markJson(value: unknown, texts: MarkedTexts): unknown {
  if (typeof value === "string") return typeNames.has(value) ? value : texts.mark(value);
  if (Array.isArray(value)) return value.map((item) => markJson(item, texts));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [schemaKeys.has(key) ? key : texts.mark(key), markJson(item, texts)]);
  return Object.fromEntries(entries);
}

function parseObject(json: string): JsonObject | undefined {
  const value = json.length <= maxArgumentsLength ? parseJson(json) : undefined;
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject && countJsonValues(value) !== undefined ? (value as JsonObject) : undefined;
}

/** JSON with the blanks of Python's, `{"a": 1, "b": 2}`, which models were trained on; most clients send it without. Numbers keep their digits. */
function respaceJson(json: string): string {
  const token = /"(?:[^"\\]|\\.)*"|[^\s",:[\]{}]+|[,:[\]{}]/g;
  return (json.match(token) ?? []).map((part) => (part === "," || part === ":" ? `${part} ` : part)).join("");
}
