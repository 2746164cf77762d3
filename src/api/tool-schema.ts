// Tools in a request: their declarations, the choice among them, and calls and results in the history.

import { z } from "zod";
import { countJsonValues, maxJsonDepth, maxJsonValues } from "../chat/json-bounds.ts";
import type { JsonObject, Tool, ToolUse } from "../core/chat.ts";
import { contradiction, flag, oneOf, optional, text } from "./schema-fields.ts";

export const maxTools = 128;

export const toolName = text.regex(/^[\w-]{1,64}$/, 'a name of 1 to 64 letters, digits, "_" and "-"');

/** Bounded, because templates and grammars walk over it. */
export const boundedObject = z
  .custom<JsonObject>(isBoundedObject, `an object with at most ${maxJsonValues} values and ${maxJsonDepth} levels of nesting`)
  .meta({ type: "object" });

/** A tool's declaration. */
export const functionFields = {
  name: toolName,
  description: optional(text, "Tells the model what the function does."),
  parameters: optional(boundedObject, "A JSON Schema of the arguments."),
  strict: optional(flag, "Forces arguments to follow `parameters`, token by token."),
};

const tool = z.object({
  type: z.literal("function", '"function"'),
  function: z.object(functionFields, "an object with a name"),
});

const namedTool = z.object({ type: z.literal("function", '"function"'), function: z.object({ name: toolName }, "an object with a name") });

const toolChoice = z.union(
  [
    oneOf("none", "auto", "required"),
    namedTool,
    z.object({
      type: z.literal("allowed_tools"),
      allowed_tools: z.object(
        {
          mode: oneOf("auto", "required"),
          tools: z.array(namedTool, "an array of tools").min(1, "at least one tool").max(maxTools, `at most ${maxTools} tools`),
        },
        "an object with mode and tools",
      ),
    }),
  ],
  '"none", "auto", "required", {"type": "function", …} or {"type": "allowed_tools", …}',
);

/** The fields of a request that are about tools. */
export const toolFields = {
  tools: optional(z.array(tool, "an array of tools").max(maxTools, `at most ${maxTools} tools`), "Functions that the model may call."),
  tool_choice: optional(toolChoice, "Whether the model calls functions, and which. By default, the model decides."),
  parallel_tool_calls: optional(flag, "If false, the answer ends after its first call."),
};

/** Clients of FastDeploy send the object itself. */
const callArguments = z
  .union([text, boundedObject.transform((object) => JSON.stringify(object))], "a string, or a bounded object")
  .describe("JSON as a string, or the object itself.");

/** A call in an assistant message, as the client received it. */
export const toolCall = z.object({
  id: text,
  type: optional(z.literal("function", '"function"')),
  function: z.object({ name: toolName, arguments: callArguments }, "an object with name and arguments"),
});

const toolRequest = z.object(toolFields);

/** The tools that the model is told of, or undefined when there are none. Throws RequestError when fields contradict each other. */
export function toToolUse(request: Partial<z.infer<typeof toolRequest>>): ToolUse | undefined {
  const { tools: declared = [], tool_choice: choice = "auto", parallel_tool_calls: allowsParallelCalls = true } = request;
  const tools = declared.map((entry) => toTool(entry.function));
  refuseDuplicates(tools);
  refuseManyValues(tools, "parameters");
  if (choice === "none") return undefined;
  const known = new Map(tools.map((entry) => [entry.name, entry]));
  const find = (name: string, param: string): Tool => {
    const found = known.get(name);
    if (found) return found;
    throw contradiction(param, `the name of one of the tools in the request, got ${JSON.stringify(name)}`);
  };
  if (typeof choice === "object" && choice.type === "allowed_tools") {
    const { mode, tools: allowed } = choice.allowed_tools;
    const names = new Set(allowed.map((entry) => entry.function.name));
    const path = "tool_choice.allowed_tools.tools";
    return { tools: [...names].map((name) => find(name, path)), choice: mode, allowsParallelCalls };
  }
  if (typeof choice === "object") {
    const { name } = find(choice.function.name, "tool_choice.function.name");
    return { tools, choice: { name }, allowsParallelCalls };
  }
  if (tools.length > 0) return { tools, choice, allowsParallelCalls };
  if (choice === "auto") return undefined;
  throw contradiction("tool_choice", `"none" or "auto" in a request without tools, got "${choice}"`);
}

function toTool({ name, description, parameters, strict }: z.infer<typeof tool>["function"]): Tool {
  return {
    name,
    ...(description !== undefined && { description }),
    ...(parameters !== undefined && { parameters }),
    ...(strict !== undefined && { strict }),
  };
}

function refuseDuplicates(tools: readonly Tool[]): void {
  const names = tools.map(({ name }) => name);
  const second = names.findIndex((name, index) => names.indexOf(name) < index);
  if (second >= 0) throw contradiction(`tools[${second}].function.name`, `a name that no other tool has, got "${names[second]}" again`);
}

export function isBoundedObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && countJsonValues(value) !== undefined;
}

/** Throws RequestError when the schemas of all tools, which stand in `field` of each, are too large together. */
export function refuseManyValues(tools: readonly Tool[], field: string): void {
  const count = tools.reduce((sum, { parameters }) => sum + (countJsonValues(parameters) ?? Infinity), 0);
  if (count > maxJsonValues)
    throw contradiction("tools", `at most ${maxJsonValues} values in the ${field} of all tools together, got ${count}`);
}
