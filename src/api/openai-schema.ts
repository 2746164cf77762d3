// The body of POST /v1/chat/completions: types and ranges of the fields this server reads.
// Known fields that it cannot honour are in unsupported-fields.ts.

import { z } from "zod";
import { maxConversationItems } from "../chat/json-bounds.ts";
import { filePart } from "./file-schema.ts";
import { formatFields } from "./output-format.ts";
import { maxTopLogprobs, refuseStreamedPrompt, refuseTooFewTokens, samplingFields } from "./sampling-fields.ts";
import { contradiction, flag, integer, oneOf, optional, parseFields, text, textOrArray, tokenLimit } from "./schema-fields.ts";
import { toolCall, toolFields } from "./tool-schema.ts";
import { refuseUnsupportedInChats, unsupportedInChats } from "./unsupported-fields.ts";
import { videoPart, videoUrlPart } from "./video-schema.ts";

const textPart = z.object({ type: z.literal("text"), text });
const imagePart = z.object({
  type: z.literal("image_url"),
  image_url: z.union([text, z.object({ url: text, detail: optional(oneOf("auto", "low", "high")) })], "a string or an object with a url"),
});
const partTypes = '"text", "image_url", "video_url", "video" or "file"';
const part = z.discriminatedUnion("type", [textPart, imagePart, videoUrlPart, videoPart, filePart], {
  error: (issue) => (issue.code === "invalid_union" ? partTypes : `an object with a type, ${partTypes}`),
});
const someParts = <Part extends z.ZodType>(parts: z.ZodArray<Part>) => textOrArray(parts, maxConversationItems, "parts");
/** An earlier refusal, which OpenAI's clients send back. It is read as ordinary text. */
const refusalPart = z
  .object({ type: z.literal("refusal"), refusal: text })
  .transform(({ refusal }) => ({ type: "text" as const, text: refusal }));
const assistantPart = z.discriminatedUnion("type", [textPart, imagePart, videoUrlPart, videoPart, filePart, refusalPart], {
  error: (issue) => (issue.code === "invalid_union" ? `${partTypes}, or "refusal"` : `an object with a type, ${partTypes}, or "refusal"`),
});
const content = someParts(z.array(part).min(1, "at least one part"));

const message = z.discriminatedUnion(
  "role",
  [
    z.object({ role: z.enum(["system", "developer", "user"]), content }),
    z.object({
      role: z.literal("assistant"),
      content: optional(someParts(z.array(assistantPart)), "May be missing or empty when there are tool calls."),
      reasoning_content: optional(text, "The earlier thinking. The chat template decides whether the model sees it."),
      reasoning: optional(text, "Another name for `reasoning_content`."),
      tool_calls: optional(
        z.array(toolCall, "an array of tool calls").max(maxConversationItems, `at most ${maxConversationItems} tool calls`),
        "The tool calls of this answer, as the model made them.",
      ),
      prefix: optional(flag, "In the last message: DeepSeek's and Mistral's name for `continue_final_message`."),
      partial: optional(flag, "In the last message: Qwen's and Kimi's name for `continue_final_message`."),
    }),
    z.object({
      role: z.literal("tool"),
      content: someParts(z.array(part)),
      tool_call_id: optional(text, "The id of the call that this result belongs to. Clients of FastDeploy leave it out."),
    }),
  ],
  {
    error: (issue) =>
      issue.code === "invalid_union" ? 'one of "system", "developer", "user", "assistant", "tool"' : "an object with role and content",
  },
);

export const chatRequest = z.object({
  model: optional(text, "One of the served model's names. May be left out."),
  messages: z
    .array(message, "an array of messages")
    .min(1, "at least one message")
    .max(maxConversationItems, `at most ${maxConversationItems} messages`)
    .describe("The conversation so far, oldest first."),
  ...samplingFields,
  max_completion_tokens: optional(
    tokenLimit(),
    "The most tokens that the answer may have, thinking included. By default, or with -1, as many as the context has room for.",
  ),
  max_tokens: optional(tokenLimit(), "Older name for `max_completion_tokens`. If both are given, they must agree."),
  logprobs: optional(flag, "Adds the log-probability of every token."),
  top_logprobs: optional(integer(0, maxTopLogprobs), "How many of the likeliest tokens to list in each place. Needs `logprobs`."),
  ...toolFields,
  ...formatFields,
  continue_final_message: optional(
    flag,
    "The model continues the last message, which must be the assistant's: its content, or its `reasoning_content` if there is no content. The answer holds only what was added. An output format applies to both together.",
  ),
  add_generation_prompt: optional(flag, "The opposite of `continue_final_message`. vLLM's clients send both."),
  enable_thinking: optional(
    flag,
    "Whether the model thinks first. Default: the server's `--default-thinking`, else the chat template's choice.",
  ),
  thinking: optional(
    z.object({ type: oneOf("enabled", "adaptive", "disabled", "auto"), budget_tokens: optional(integer(1)) }, "an object with a type"),
    "The switch of DeepSeek, GLM, Kimi and Doubao; `auto` is the default. `budget_tokens` is Anthropic's name for `reasoning_max_tokens`.",
  ),
  reasoning_max_tokens: optional(integer(0), "The most tokens of thinking before the answer begins. 0: no thinking."),
  thinking_token_budget: optional(integer(0), "vLLM's name for `reasoning_max_tokens`."),
  return_routing: optional(flag, "Adds to each choice which experts processed its tokens. Needs a server started with `--expose-routing`."),
  reasoning_effort: optional(
    oneOf("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "`none` turns thinking off; any other value turns it on. `reasoning_max_tokens` limits its length.",
  ),
  metadata: optional(
    z.object({ enable_thinking: optional(z.union([z.boolean(), z.enum(["true", "false"])], "true or false")) }, "an object"),
    "Only `enable_thinking` has an effect.",
  ),
  chat_template_kwargs: optional(
    z.object(
      {
        enable_thinking: optional(flag),
        options: optional(z.object({ thinking_mode: optional(oneOf("open", "close")) }, "an object")),
      },
      "an object",
    ),
    "Variables for the checkpoint's chat template: only `enable_thinking` and `options.thinking_mode`.",
  ),
});

export const chatFields = Object.keys({ ...chatRequest.shape, ...unsupportedInChats });

export type ChatRequest = z.infer<typeof chatRequest>;
export type RequestMessage = ChatRequest["messages"][number];

/** The request with every field checked. Throws RequestError for the first field that is wrong or cannot be honoured. */
export function parseChatRequest(body: object): ChatRequest {
  refuseUnsupportedInChats(body);
  const request = parseFields(chatRequest, body);
  const { max_tokens: maxTokens, max_completion_tokens: maxCompletionTokens, min_tokens: minTokens = 0 } = request;
  if (maxTokens !== undefined && maxCompletionTokens !== undefined && maxTokens !== maxCompletionTokens) {
    const expected = `the same as max_completion_tokens (${maxCompletionTokens}), got ${maxTokens}; send one of them`;
    throw contradiction("max_tokens", expected);
  }
  const { add_generation_prompt: addsPrompt, continue_final_message: goesOn = false } = request;
  if (addsPrompt !== undefined && addsPrompt === goesOn) {
    const expected = `${!goesOn} with "continue_final_message": ${goesOn}, got ${addsPrompt}; leave it out`;
    throw contradiction("add_generation_prompt", expected);
  }
  refuseStreamedPrompt(request);
  refuseTooFewTokens(minTokens, maxCompletionTokens ?? maxTokens, "max_completion_tokens");
  if (request.top_logprobs && !request.logprobs) {
    throw contradiction("top_logprobs", `"logprobs": true with it, ${request.logprobs === false ? "got false" : "but it is missing"}`);
  }
  return request;
}
