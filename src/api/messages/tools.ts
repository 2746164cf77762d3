// Tools in a request of the Messages API: their declarations and the choice among them.

import { z } from "zod";
import { countJsonValues, maxJsonValues } from "../../chat/json-bounds.ts";
import type { Tool, ToolChoice, ToolUse } from "../../core/chat.ts";
import { RequestError } from "../../core/errors.ts";
import { flag, optional, text } from "../schema-fields.ts";
import { boundedObject } from "../tool-schema.ts";

/** Agents bring those of all servers they know. */
const maxTools = 1024;

export const toolName = text.regex(/^[\w-]{1,128}$/, 'a name of 1 to 128 letters, digits, "_" and "-"');

const tool = z.object(
  {
    type: optional(z.literal("custom", '"custom", a tool that the client describes and runs')),
    name: toolName,
    description: optional(text, "What the tool does, for the model."),
    input_schema: boundedObject.describe("A JSON Schema of the input."),
    strict: optional(flag, "Inputs always follow `input_schema`: enforced token by token."),
  },
  "an object with name and input_schema",
);

const isSingle = { disable_parallel_tool_use: optional(flag, "The answer ends after its first call.") };
const toolChoice = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("auto"), ...isSingle }),
    z.object({ type: z.literal("any"), ...isSingle }),
    z.object({ type: z.literal("tool"), name: text, ...isSingle }),
    z.object({ type: z.literal("none") }),
  ],
  'an object with a type, "auto", "any", "tool" or "none"',
);

/** The fields of a request that are about tools. */
export const toolFields = {
  tools: optional(z.array(tool, "an array of tools").max(maxTools, `at most ${maxTools} tools`), "Tools that the model may use."),
  tool_choice: optional(toolChoice, "Whether the model uses tools, and which; by default as it likes."),
};

const toolRequest = z.object(toolFields);

/** Undefined when the model is to know of no tools. Throws RequestError when fields contradict each other. */
export function toToolUse({ tools: declared = [], tool_choice: chosen }: z.infer<typeof toolRequest>): ToolUse | undefined {
  const tools = declared.map(toTool);
  const known = new Set<string>();
  for (const [index, { name }] of tools.entries()) {
    if (known.has(name)) throw contradiction(`tools[${index}].name`, `a name of its own, got "${name}" a second time`);
    known.add(name);
  }
  const valueCount = tools.reduce((sum, { parameters }) => sum + (countJsonValues(parameters) ?? Infinity), 0);
  if (valueCount > maxJsonValues) throw contradiction("tools", `at most ${maxJsonValues} values in all input_schema, got ${valueCount}`);
  if (chosen?.type === "none") return undefined;
  const choice = toChoice(chosen, known);
  if (tools.length > 0) return { tools, choice, allowsParallelCalls: !chosen?.disable_parallel_tool_use };
  if (choice === "auto") return undefined;
  throw contradiction("tool_choice", `"auto" or "none" where no tools are given, got "${chosen!.type}"`);
}

function toChoice(chosen: z.infer<typeof toolRequest>["tool_choice"], known: ReadonlySet<string>): ToolChoice {
  if (chosen?.type === "any") return "required";
  if (chosen?.type !== "tool") return "auto";
  if (known.has(chosen.name)) return { name: chosen.name };
  throw contradiction("tool_choice.name", `the name of one of the ${known.size} tools, got ${JSON.stringify(chosen.name)}`);
}

function toTool({ name, description, input_schema: parameters, strict }: z.infer<typeof tool>): Tool {
  return { name, parameters, ...(description !== undefined && { description }), ...(strict !== undefined && { strict }) };
}

function contradiction(param: string, expected: string): RequestError {
  return new RequestError(`${param}: expected ${expected}`, { code: "invalid_value", param });
}
