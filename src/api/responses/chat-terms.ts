// Translates a request into the fields of a chat request, which the rest of the server understands, and the paths in error messages back.

import { RequestError, toRefusal } from "../../core/errors.ts";
import type { OutputFormat, TextFormat } from "../../core/structured-output.ts";
import type { AnswerFields } from "../from-openai.ts";
import type { ResponsesRequest } from "./request.ts";
import type { ToldTool } from "./tools.ts";

/** Fields of a chat request that do not exist here. `metadata` belongs to the client here and has no effect. */
const absent = { n: undefined, max_tokens: undefined, stream_options: undefined, return_token_ids: undefined, metadata: undefined };

export function toChatTerms(request: ResponsesRequest, tools: readonly ToldTool[]): AnswerFields {
  const { max_output_tokens: maxTokens, reasoning, include = [], top_logprobs: topLogprobs = 0 } = request;
  return {
    ...request,
    ...absent,
    max_completion_tokens: maxTokens,
    tools: tools.map(({ declaration }) => ({ type: "function", function: declaration })),
    tool_choice: toChatChoice(request.tool_choice),
    response_format: toResponseFormat(request.text?.format),
    reasoning_effort: reasoning?.effort,
    logprobs: topLogprobs > 0 || include.includes("message.output_text.logprobs"),
    top_logprobs: topLogprobs,
  };
}

function toChatChoice(choice: ResponsesRequest["tool_choice"]): AnswerFields["tool_choice"] {
  if (choice === undefined || typeof choice === "string") return choice;
  if (choice.type !== "allowed_tools") return { type: "function", function: { name: choice.name } };
  const tools = choice.tools.map(({ name }) => ({ type: "function" as const, function: { name } }));
  return { type: "allowed_tools", allowed_tools: { mode: choice.mode, tools } };
}

function toResponseFormat(format: NonNullable<ResponsesRequest["text"]>["format"]): AnswerFields["response_format"] {
  const elsewhere = { schema: undefined, value: undefined }; // places of other programs
  if (format?.type !== "json_schema") return format && { type: format.type, json_schema: undefined, ...elsewhere };
  return { type: "json_schema", json_schema: { schema: format.schema, strict: format.strict }, ...elsewhere };
}

/** Paths of a chat request → paths of this one. */
function inOwnTerms(text: string, tools: readonly ToldTool[]): string {
  return text
    .replaceAll(/\btools\[(\d+)\]\.function\b/g, (path, index: string) => tools[Number(index)]?.param ?? path)
    .replaceAll("tool_choice.function", "tool_choice")
    .replaceAll("tool_choice.allowed_tools.tools", "tool_choice.tools")
    .replaceAll("response_format.json_schema", "text.format")
    .replaceAll("response_format", "text.format")
    .replace(/^messages(\[\d+\])?/, "input");
}

export function toOwnError(error: unknown, tools: readonly ToldTool[]): unknown {
  if (!(error instanceof RequestError)) return error;
  const { message, options } = toRefusal(error);
  const param = options.param && inOwnTerms(options.param, tools);
  return new RequestError(inOwnTerms(message, tools), { ...options, param, cause: error.cause });
}

/** The output format with paths of this API, which its errors name. */
export function toOwnFormat(format: OutputFormat, told: readonly ToldTool[]): OutputFormat {
  if (format.type !== "tool_calls") return toOwnTextFormat(format);
  const { otherwise } = format;
  const tools = format.tools.map((tool) => ({ ...tool, param: inOwnTerms(tool.param, told) }));
  return { ...format, tools, ...(otherwise && { otherwise: toOwnTextFormat(otherwise) }) };
}

function toOwnTextFormat(format: TextFormat): TextFormat {
  return "param" in format ? { ...format, param: inOwnTerms(format.param, []) } : format;
}
