// Tools in a request of the Responses API: functions, custom tools, and both in namespaces. The model knows functions alone, so all of
// them are told as functions, and its calls go back to the client in the form of what it declared.

import { z } from "zod";
import { RequestError } from "../../core/errors.ts";
import { oneOf, optional, text } from "../schema-fields.ts";
import { functionFields, maxTools, toolName } from "../tool-schema.ts";

/** Agents bring those of all servers they know. */
const maxToldTools = 1024;

const functionTool = z.object({ type: z.literal("function"), ...functionFields });
const customTool = z.object({
  type: z.literal("custom"),
  name: toolName,
  description: optional(text, "What the tool does, for the model."),
  format: optional(
    z.discriminatedUnion(
      "type",
      [z.object({ type: z.literal("text") }), z.object({ type: z.literal("grammar"), syntax: oneOf("lark", "regex"), definition: text })],
      { error: 'an object with a type: "text" or "grammar"' },
    ),
    "What its input looks like. A grammar is shown to the model, and not enforced.",
  ),
});
const namespaceTool = z.object({
  type: z.literal("namespace"),
  name: toolName,
  description: optional(text, "Not shown to the model, which knows each tool by both names."),
  tools: z
    .array(
      z.discriminatedUnion("type", [functionTool, customTool], { error: 'a tool of type "function" or "custom"' }),
      "an array of tools",
    )
    .min(1, "at least one tool")
    .max(maxTools, `at most ${maxTools} tools`),
});
const ownTypes = ["function", "custom", "namespace"];
/** What OpenAI runs, or new clients know: clients send it unasked, to every server. */
const unknownTool = z.object({
  type: text
    .refine((type) => !ownTypes.includes(type), { abort: true }) // what is wrong with one of these is for the others to tell
    .meta({ not: { enum: ownTypes } })
    .describe("Left out: the model is not told of it."),
});

export const toolsField = z
  .array(
    z.union(
      [z.discriminatedUnion("type", [functionTool, customTool, namespaceTool], { error: "a string" }), unknownTool],
      "an object with a type",
    ),
    "an array of tools",
  )
  .max(maxTools, `at most ${maxTools} tools`);

export type RequestTool = z.infer<typeof toolsField>[number];
type Callable = z.infer<typeof functionTool> | z.infer<typeof customTool>;
type OwnTool = Callable | z.infer<typeof namespaceTool>;

/** How a call of a tool is written to the client. */
export type CallForm = {
  readonly type: "function_call" | "custom_tool_call";
  readonly name: string;
  /** Undefined: in none. */
  readonly namespace: string | undefined;
};

export type ToldTool = {
  /** As the model knows it. */
  readonly declaration: Omit<z.infer<typeof functionTool>, "type">;
  readonly form: CallForm;
  /** Where it stands in the request. */
  readonly param: string;
};

const callTypes = { function: "function_call", custom: "custom_tool_call" } as const;

/** Those of the declared tools that are not left out. */
export function ownTools(declared: readonly RequestTool[] = []): OwnTool[] {
  return declared.filter(isOwnTool);
}

function isOwnTool(tool: RequestTool): tool is OwnTool {
  return ownTypes.includes(tool.type);
}

/** All tools that the model is told of, in order. Throws RequestError when they are too many. */
export function tellTools(declared: readonly RequestTool[] = []): ToldTool[] {
  const told = declared.flatMap((tool, index) => {
    const param = `tools[${index}]`;
    if (!isOwnTool(tool)) return [];
    if (tool.type !== "namespace") return [tellTool(tool, undefined, param)];
    return tool.tools.map((inner, at) => tellTool(inner, tool.name, `${param}.tools[${at}]`));
  });
  if (told.length <= maxToldTools) return told;
  throw new RequestError(`tools: expected at most ${maxToldTools} in all namespaces together, got ${told.length}`, {
    code: "invalid_value",
    param: "tools",
  });
}

function tellTool(tool: Callable, namespace: string | undefined, param: string): ToldTool {
  const { name } = tool;
  const form = { type: callTypes[tool.type], name, namespace };
  return { declaration: { ...(tool.type === "function" ? tool : inJson(tool)), name: toldName(name, namespace) }, form, param };
}

/** The name by which the model knows a tool of a namespace: both, as names hold no dot. */
export function toldName(name: string, namespace: string | undefined): string {
  if (namespace === undefined) return name;
  return namespace.endsWith("__") ? namespace + name : `${namespace}__${name}`;
}

/** A custom tool takes a text; a function has it as its only argument. */
function inJson({ description, format }: z.infer<typeof customTool>) {
  const form = format?.type === "grammar" ? `Its input follows this ${format.syntax} grammar:\n${format.definition}` : undefined;
  return {
    description: [description, form].filter((part) => part !== undefined).join("\n\n") || undefined,
    parameters: { type: "object", properties: { input: { type: "string" } }, required: ["input"], additionalProperties: false },
    strict: undefined,
  };
}

/** The arguments that the model wrote for a custom tool, as its input; what is not of that form, as it is. */
export function toInput(argumentsText: string): string {
  try {
    const { input } = JSON.parse(argumentsText) as { input?: unknown };
    return typeof input === "string" ? input : argumentsText;
  } catch {
    return argumentsText;
  }
}

export function toArguments(input: string): string {
  return JSON.stringify({ input });
}
