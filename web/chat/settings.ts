// The settings of a conversation, and checks before they are sent.

import { type JsonMistake, parseJson } from "./json-text.ts";

export type Settings = {
  /** `default`: whatever the server's default is. */
  readonly thinking: "default" | "on" | "off";
  /** Tokens. */
  readonly thinkingBudget?: number | undefined;
  readonly system: string;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly maxTokens?: number | undefined;
  readonly seed?: number | undefined;
  readonly format: AnswerFormat;
  /** JSON Schema as typed; used if `format` is `schema`. */
  readonly schema: string;
  readonly useTools: boolean;
  /** JSON array of tools as typed; used if `useTools` is set. */
  readonly tools: string;
  /** Whether the model may zoom into pictures: the page cuts out the parts it asks for. Missing in conversations of earlier versions. */
  readonly zooms?: boolean | undefined;
};

export type AnswerFormat = "text" | "json" | "schema";

export const exampleSchema = `{
  "type": "object",
  "properties": {
    "objects": {
      "type": "array",
      "maxItems": 4,
      "items": {
        "type": "object",
        "properties": {
          "colour": { "type": "string", "maxLength": 20 },
          "shape": { "type": "string", "maxLength": 20 }
        },
        "required": ["colour", "shape"]
      }
    }
  },
  "required": ["objects"]
}`;

export const exampleTools = `[
  {
    "type": "function",
    "function": {
      "name": "get_weather",
      "description": "Get the weather of a city",
      "parameters": {
        "type": "object",
        "properties": { "city": { "type": "string" } },
        "required": ["city"]
      }
    }
  }
]`;

export const defaultSettings: Settings = {
  thinking: "default",
  system: "",
  format: "text",
  schema: exampleSchema,
  useTools: false,
  tools: exampleTools,
};

/** The settings that an example brought, for its conversation only, and those that the user had before. */
export type ExampleSettings = { readonly brought: Partial<Settings>; readonly before: Settings };

/** The user's own settings: what an example brought, and the user left so, is as it was before. */
export function withoutExample(settings: Settings, { brought, before }: ExampleSettings): Settings {
  const names = (Object.keys(brought) as (keyof Settings)[]).filter((name) => settings[name] === brought[name]);
  return { ...settings, ...Object.fromEntries(names.map((name) => [name, before[name]])) };
}

/** Why the text of an editor cannot be used. It has no place if the text is valid JSON of the wrong shape. */
export type EditorMistake = Pick<JsonMistake, "message"> & Partial<JsonMistake>;

/** Undefined if the text may be a JSON Schema; only the server checks it fully. */
export function checkSchema(text: string): EditorMistake | undefined {
  const parsed = parseJson(text);
  if (parsed.type === "mistake") return parsed;
  return isObject(parsed.value) ? undefined : { message: 'A schema must be an object, such as {"type": "object"}.' };
}

/** Undefined if the text is a valid array for the field `tools`. */
export function checkTools(text: string): EditorMistake | undefined {
  const parsed = parseJson(text);
  if (parsed.type === "mistake") return parsed;
  const tools = parsed.value;
  if (!Array.isArray(tools) || tools.length === 0) return { message: "Tools must be an array with at least one function." };
  for (const [index, tool] of tools.entries()) {
    const definition: unknown = isObject(tool) && tool["type"] === "function" ? tool["function"] : undefined;
    if (!isObject(definition) || typeof definition["name"] !== "string" || definition["name"] === "") {
      return { message: `Tool ${index + 1} must look like {"type": "function", "function": {"name": …, "parameters": …}}.` };
    }
  }
  return undefined;
}

/** The first mistake in settings that would be sent, and its settings tab. */
export function checkSettings(settings: Settings): { readonly tab: "format" | "tools"; readonly mistake: EditorMistake } | undefined {
  const schemaMistake = settings.format === "schema" ? checkSchema(settings.schema) : undefined;
  if (schemaMistake) return { tab: "format", mistake: schemaMistake };
  const toolsMistake = settings.useTools ? checkTools(settings.tools) : undefined;
  return toolsMistake && { tab: "tools", mistake: toolsMistake };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
