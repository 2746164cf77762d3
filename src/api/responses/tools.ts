// Tools in a request of the Responses API: functions, custom tools, and namespaces of both. The model knows only functions, so every tool is
// presented to it as a function, and its calls are returned in the form of the tool that the client declared.

import { z } from "zod";
import { contradiction, oneOf, optional, text } from "../schema-fields.ts";
import { functionFields, maxTools, toolName } from "../tool-schema.ts";

/** Agents send the tools of all the servers they are connected to. */
const maxToldTools = 1024;

const functionTool = z.object({ type: z.literal("function"), ...functionFields });
const customTool = z.object({
  type: z.literal("custom"),
  name: toolName,
  description: optional(text, "Tells the model what the tool does."),
  format: optional(
    z.discriminatedUnion(
      "type",
      [z.object({ type: z.literal("text") }), z.object({ type: z.literal("grammar"), syntax: oneOf("lark", "regex"), definition: text })],
      { error: 'an object with a type: "text" or "grammar"' },
    ),
    "The format of its input. A grammar is shown to the model but not enforced.",
  ),
});
const namespaceTool = z.object({
  type: z.literal("namespace"),
  name: toolName,
  description: optional(text, "Not shown to the model, which sees each tool under both names joined."),
  tools: z
    .array(
      z.discriminatedUnion("type", [functionTool, customTool], { error: 'a tool of type "function" or "custom"' }),
      "an array of tools",
    )
    .min(1, "at least one tool")
    .max(maxTools, `at most ${maxTools} tools`),
});
const ownTypes = ["function", "custom", "namespace"];
/** Tools that OpenAI itself runs, and kinds that only newer clients know. Clients send them to every server, so they are left out, not refused. */
const unknownTool = z.object({
  type: text
    .refine((type) => !ownTypes.includes(type), { abort: true }) // the schema of that type explains what is wrong with it
    .meta({ not: { enum: ownTypes } })
    .describe("Left out: the model is not told about it."),
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

/** How a call of a tool is returned to the client. */
export type CallForm = {
  readonly type: "function_call" | "custom_tool_call";
  readonly name: string;
  /** Undefined: the tool is in no namespace. */
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

/** The declared tools without those that are left out. */
export function ownTools(declared: readonly RequestTool[] = []): OwnTool[] {
  return declared.filter(isOwnTool);
}

function isOwnTool(tool: RequestTool): tool is OwnTool {
  return ownTypes.includes(tool.type);
}

/** All tools that the model is told about, in order. Throws RequestError when there are too many. */
export function tellTools(declared: readonly RequestTool[] = []): ToldTool[] {
  const told = declared.flatMap((tool, index) => {
    const param = `tools[${index}]`;
    if (!isOwnTool(tool)) return [];
    if (tool.type !== "namespace") return [tellTool(tool, undefined, param)];
    return tool.tools.map((inner, at) => tellTool(inner, tool.name, `${param}.tools[${at}]`));
  });
  if (told.length <= maxToldTools) return told;
  throw contradiction("tools", `at most ${maxToldTools} tools in all namespaces together, got ${told.length}`);
}

function tellTool(tool: Callable, namespace: string | undefined, param: string): ToldTool {
  const { name } = tool;
  const form = { type: callTypes[tool.type], name, namespace };
  return { declaration: { ...(tool.type === "function" ? tool : inJson(tool)), name: toldName(name, namespace) }, form, param };
}

/** The name by which the model knows a tool of a namespace: both names joined, because names may not contain a dot. */
export function toldName(name: string, namespace: string | undefined): string {
  if (namespace === undefined) return name;
  return namespace.endsWith("__") ? namespace + name : `${namespace}__${name}`;
}

/** A custom tool takes a text, so its function has one argument, `input`. */
function inJson({ description, format }: z.infer<typeof customTool>) {
  const form = format?.type === "grammar" ? `Its input follows this ${format.syntax} grammar:\n${format.definition}` : undefined;
  return {
    description: [description, form].filter((part) => part !== undefined).join("\n\n") || undefined,
    parameters: { type: "object", properties: { input: { type: "string" } }, required: ["input"], additionalProperties: false },
    strict: undefined,
  };
}

/** The input of a custom tool, from the arguments that the model wrote. Arguments of another form are returned unchanged. */
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
