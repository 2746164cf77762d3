// Converts tools and calls to the form that chat templates expect. Their texts are marked like all texts of a client.

import type { JsonObject, Tool, ToolCall } from "../core/chat.ts";
import { parseJson } from "../core/parse-json.ts";
import { countJsonValues } from "./json-bounds.ts";
import type { MarkedTexts } from "./marked-texts.ts";

/** OpenAI's shape, which Hugging Face templates expect. */
export type TemplateTool = { readonly type: "function"; readonly function: JsonObject };
export type TemplateCall = {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: unknown };
};

/** How a template takes the arguments of a call: as JSON text, or as the parsed object. */
export type ArgumentsFormat = "text" | "object";

/**
 * Keywords of JSON Schema. Templates look them up, so they are not marked; all other strings are. None of them can become part of a
 * control token, whatever a template writes around it.
 */
const schemaKeys = new Set(
  (
    "type properties required items enum const description title default examples format pattern additionalProperties anyOf oneOf " +
    "allOf not minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems uniqueItems " +
    "minProperties maxProperties prefixItems nullable strict $ref $defs $schema definitions"
  ).split(" "),
);
const typeNames = new Set(["string", "number", "integer", "boolean", "object", "array", "null"]);

/** In UTF-16 units. With strings several times as long, the regular expression of `respaceJson` overflows its stack. */
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

/** Arguments that are not a JSON object, or too large, are shown unchanged: the model may have written them this way. */
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

/** Adds the spaces that Python writes, `{"a": 1, "b": 2}`: models were trained on them, and most clients leave them out. Numbers keep their digits. */
function respaceJson(json: string): string {
  const token = /"(?:[^"\\]|\\.)*"|[^\s",:[\]{}]+|[,:[\]{}]/g;
  return (json.match(token) ?? []).map((part) => (part === "," || part === ":" ? `${part} ` : part)).join("");
}
