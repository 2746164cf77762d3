// Tools in a request of the Messages API: declarations, and the choice among them.

import { z } from "zod";
import type { Tool, ToolChoice, ToolUse } from "../../core/chat.ts";
import { contradiction, describe, flag, optional, text } from "../schema-fields.ts";
import { boundedObject, refuseManyValues } from "../tool-schema.ts";

/** Agents send the tools of all the servers they are connected to. */
const maxTools = 1024;

export const toolName = text.regex(/^[\w-]{1,128}$/, 'a name of 1 to 128 letters, digits, "_" and "-"');

const tool = z.object(
  {
    type: optional(z.literal("custom", '"custom" (a tool that the client describes and runs)')),
    name: toolName,
    description: optional(text, "Tells the model what the tool does."),
    input_schema: boundedObject.describe("A JSON Schema of the input."),
    strict: optional(flag, "Forces inputs to follow `input_schema`, token by token."),
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
  tool_choice: optional(toolChoice, "Whether the model uses tools, and which. By default, the model decides."),
};

const toolReference = z.object({ type: z.literal("tool_reference"), name: text });
const toolDefinition = z.object({ type: z.literal("tool_definition"), definition: tool });

/** Blocks by which a client adds or removes a tool in the middle of a conversation. */
export const toolChangeBlocks = [
  z.object({
    type: z.literal("tool_addition"),
    tool: z.discriminatedUnion("type", [toolReference, toolDefinition], 'an object with a type, "tool_reference" or "tool_definition"'),
  }),
  z.object({
    type: z.literal("tool_removal"),
    tool: z.discriminatedUnion("type", [toolReference], 'an object with a type, "tool_reference"'),
  }),
] as const;

type ToolChange = z.infer<(typeof toolChangeBlocks)[number]>;

const toolRequest = z.object(toolFields);

/** The parts of a request that determine its tools. */
export type ToolRequest = z.infer<typeof toolRequest> & {
  readonly messages: readonly { readonly content: string | readonly (ToolChange | { readonly type: string })[] }[];
};

/** `param`: where the tool stands in the request. */
type OfferedTool = { readonly tool: Tool; readonly param: string };

/** The tools that the model is told about, or undefined when there are none. Throws RequestError when fields contradict each other. */
export function toToolUse(request: ToolRequest): ToolUse | undefined {
  const { tool_choice: chosen } = request;
  const tools = offeredTools(request).map(({ tool }) => tool);
  refuseManyValues(tools, "input_schema");
  if (chosen?.type === "none") return undefined;
  const choice = toChoice(chosen, new Set(tools.map(({ name }) => name)));
  if (tools.length > 0) return { tools, choice, allowsParallelCalls: !chosen?.disable_parallel_tool_use };
  if (choice === "auto") return undefined;
  throw contradiction("tool_choice", `"auto" or "none" in a request without tools, got "${chosen!.type}"`);
}

/**
 * The tools at the end of the conversation. The model is told about every declared tool from the start, even if it is to be loaded later:
 * this way the prompt begins the same in each request, and its cached prefix stays valid.
 */
export function offeredTools({ tools: declared = [], messages }: ToolRequest): OfferedTool[] {
  const known = new Map<string, OfferedTool>();
  for (const [index, entry] of declared.entries()) {
    const param = `tools[${index}]`;
    if (known.has(entry.name)) throw contradiction(`${param}.name`, `a name that no other tool has, got "${entry.name}" again`);
    known.set(entry.name, { tool: toTool(entry), param });
  }
  const offered = new Map(known);
  for (const { change, param } of toolChanges(messages)) {
    const { tool } = change;
    if (tool.type === "tool_definition") known.set(tool.definition.name, { tool: toTool(tool.definition), param: `${param}.definition` });
    const name = tool.type === "tool_definition" ? tool.definition.name : tool.name;
    const found = known.get(name);
    if (!found)
      throw contradiction(`${param}.name`, `the name of a tool that was declared earlier, got ${JSON.stringify(name.slice(0, 100))}`);
    if (change.type === "tool_removal") offered.delete(name);
    else offered.set(name, found);
  }
  return [...offered.values()];
}

function toolChanges(messages: ToolRequest["messages"]): { readonly change: ToolChange; readonly param: string }[] {
  return messages.flatMap(({ content }, index) =>
    typeof content === "string"
      ? []
      : content.flatMap((block, at) => (isToolChange(block) ? [{ change: block, param: `messages[${index}].content[${at}].tool` }] : [])),
  );
}

function isToolChange(block: { readonly type: string }): block is ToolChange {
  return block.type === "tool_addition" || block.type === "tool_removal";
}

function toChoice(chosen: z.infer<typeof toolRequest>["tool_choice"], known: ReadonlySet<string>): ToolChoice {
  if (chosen?.type === "any") return "required";
  if (chosen?.type !== "tool") return "auto";
  if (known.has(chosen.name)) return { name: chosen.name };
  throw contradiction("tool_choice.name", `the name of one of the tools in the request, got ${describe(chosen.name)}`);
}

function toTool({ name, description, input_schema: parameters, strict }: z.infer<typeof tool>): Tool {
  return { name, parameters, ...(description !== undefined && { description }), ...(strict !== undefined && { strict }) };
}
