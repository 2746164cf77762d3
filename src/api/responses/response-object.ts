// The objects that clients receive: the response and its output items.

import type { GenerationOptions } from "../../core/chat.ts";
import type { Usage } from "../../core/events.ts";
import { randomId } from "../random-id.ts";
import type { toTokenLogprob } from "../to-openai.ts";
import type { ResponsesRequest } from "./request.ts";
import { ownTools } from "./tools.ts";

export type TokenLogprob = ReturnType<typeof toTokenLogprob>;

type ItemStatus = "in_progress" | "completed" | "incomplete";

export type OutputText = {
  readonly type: "output_text";
  readonly text: string;
  readonly annotations: never[];
  readonly logprobs: TokenLogprob[];
};
export type ReasoningText = { readonly type: "reasoning_text"; readonly text: string };
export type SummaryText = { readonly type: "summary_text"; readonly text: string };

type ItemHead<T extends string> = { readonly type: T; readonly id: string; readonly status: ItemStatus };
export type OutputItem =
  | (ItemHead<"reasoning"> & Thought)
  | (ItemHead<"message"> & { readonly role: "assistant"; readonly content: OutputText[] })
  | (ItemHead<"function_call"> & CallHead & { readonly arguments: string })
  | (ItemHead<"custom_tool_call"> & CallHead & { readonly input: string });

/** The thinking is either the summary or the content. */
type Thought = { readonly summary: SummaryText[]; readonly content: ReasoningText[]; readonly encrypted_content?: string };

export type CallHead = { readonly call_id: string; readonly name: string; readonly namespace?: string };

type ResponseStatus = "in_progress" | "completed" | "incomplete" | "cancelled" | "failed";

/** The state of a response. */
export type Progress = {
  readonly status: ResponseStatus;
  readonly completed_at: number | null;
  readonly incomplete_details: { readonly reason: "max_output_tokens" } | null;
  readonly error: { readonly code: "server_error" | "invalid_prompt"; readonly message: string } | null;
  readonly output: OutputItem[];
  readonly usage: ReturnType<typeof toResponseUsage> | null;
};

/** The fields that stay the same from the first event to the last. */
export type ResponseHead = ReturnType<typeof toResponseHead>;
export type ResponseObject = ResponseHead & Progress;

const idPrefixes = {
  message: "msg",
  reasoning: "rs",
  function_call: "fc",
  function_call_output: "fco",
  custom_tool_call: "ctc",
  custom_tool_call_output: "ctco",
};

/** The id of an item contains the id of its response, so that references can be resolved. `place` is unique in the response. */
export function itemId(type: keyof typeof idPrefixes, responseId: string, place: string): string {
  return `${idPrefixes[type]}_${responseId.slice("resp_".length)}_${place}`;
}

/** The id of the response that an item belongs to, if this server issued the item's id. */
export function responseIdOf(id: string): string | undefined {
  const hex = /^[a-z]+_([0-9a-f]{32})_/.exec(id)?.[1];
  return hex && `resp_${hex}`;
}

/** The request's settings with defaults filled in. `isStored`: the response can be retrieved by its id. */
export function toResponseHead(request: ResponsesRequest, { sampling }: GenerationOptions, model: string, isStored: boolean) {
  const { instructions, tools, tool_choice: toolChoice, text, reasoning } = request;
  return {
    id: `resp_${randomId()}`,
    object: "response" as const,
    created_at: Math.floor(Date.now() / 1000),
    model,
    access_programs: null,
    background: false,
    instructions: instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    max_tool_calls: null,
    metadata: request.metadata ?? {},
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: request.previous_response_id ?? null,
    prompt_cache_key: request.prompt_cache_key ?? null,
    safety_identifier: request.safety_identifier ?? null,
    reasoning: { effort: reasoning?.effort ?? null, summary: reasoning?.summary ?? null },
    service_tier: "default" as const,
    store: isStored,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    presence_penalty: sampling.presencePenalty,
    frequency_penalty: sampling.frequencyPenalty,
    top_logprobs: request.top_logprobs ?? 0,
    text: { format: toTextFormat(text?.format), verbosity: "medium" as const },
    tool_choice: toolChoice ?? ("auto" as const),
    tools: ownTools(tools).map(toEchoedTool),
    truncation: "disabled" as const,
  };
}

function toTextFormat(format: NonNullable<ResponsesRequest["text"]>["format"]) {
  if (format?.type !== "json_schema") return { type: format?.type ?? "text" } as { type: "text" } | { type: "json_object" };
  const { name = "answer", description, schema, strict = false } = format;
  return { type: format.type, name, ...(description !== undefined && { description }), schema: { ...schema }, strict };
}

type OwnTool = ReturnType<typeof ownTools>[number];
type Callable = Exclude<OwnTool, { type: "namespace" }>;

function toEchoedTool(tool: OwnTool) {
  if (tool.type !== "namespace") return toEchoedCallable(tool);
  const { type, name, description, tools } = tool;
  return { type, name, description: description ?? "", tools: tools.map(toEchoedCallable) };
}

function toEchoedCallable(tool: Callable) {
  if (tool.type === "custom") {
    const { type, name, description, format = { type: "text" as const } } = tool;
    return { type, name, ...(description !== undefined && { description }), format };
  }
  const { type, name, description, parameters, strict } = tool;
  return { type, name, description: description ?? null, parameters: parameters ? { ...parameters } : null, strict: strict ?? false };
}

export function toResponseUsage({ promptTokens, cachedTokens, completionTokens, reasoningTokens }: Usage) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  };
}
