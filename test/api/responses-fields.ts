// Every field of a request to the Responses API and what this server does with it, with an example that responses-fields.test.ts proves
// it by. docs/responses.md is written from it.

import type { ResponseCreateParamsBase } from "openai/resources/responses/responses";
import { type Field, openAiFields, range } from "./field-table.ts";
import { pngBase64 } from "./make-app.ts";
import { otherFields } from "./more-fields.ts";
import { weatherTool } from "./responses-app.ts";

const e2e = "test/e2e/responses.test.ts";
const client = "test/api/responses.test.ts";
const store = "test/api/responses-store.test.ts";
const items = "test/api/responses-input.test.ts";
const tools = "test/api/responses-tools.test.ts";

/** Stands for the id of a response made before, in the examples. */
export const anEarlierId = "resp_earlier";

const asks = (...input: object[]) => ({ input });
const hi = { role: "user", content: "Hi" };
const call = { type: "function_call", call_id: "c", name: "f", arguments: "{}" };
const schema = { type: "object", properties: { a: { type: "integer" } } };
const ignored = (value: unknown, name: string, values = "anything", note?: string): Field => {
  return { does: "ignored", values, sent: { [name]: value }, ...(note && { note }) };
};
const refused = (value: unknown, name: string, values: string, note: string): Field => ({
  does: "refused",
  values,
  sent: { [name]: value },
  note,
});
const echoed = (name: string): Field => {
  return {
    does: "effective",
    values: "a string",
    note: "returned with the response; has no other effect",
    sent: { [name]: "k" },
    effect: { answer: new RegExp(`"${name}":"k"`) },
  };
};

/** OpenAI's fields: the type makes the list complete. */
export const requestFields = {
  input: {
    does: "effective",
    values: "a string, or at least one item; see below",
    sent: asks({ role: "user", content: "Ho" }),
    effect: { chat: { messages: [{ role: "user", content: [{ type: "text", text: "Ho" }] }] } },
    proof: [e2e, "tells what is in a picture"],
  },
  model: openAiFields.model,
  instructions: {
    does: "effective",
    values: "a string",
    note: "a system message at the start; `previous_response_id` does not carry it over",
    sent: { instructions: "Be brief." },
    effect: { chat: { messages: [{ role: "system" }, { role: "user" }] } },
    proof: [items, "a string is a user message, instructions come first"],
  },
  previous_response_id: {
    does: "effective",
    values: "the id of a stored response",
    note: "an unknown one is a 404",
    sent: { previous_response_id: anEarlierId },
    effect: { chat: { messages: [{ role: "user" }, { role: "assistant" }, { role: "user" }] } },
    proof: [e2e, "goes on with a conversation about a picture by its id, without computing it again"],
  },
  store: {
    does: "effective",
    values: "true, false",
    note: "true by default; see above",
    sent: { store: false },
    effect: { answer: /"store":false/ },
    proof: [store, "there is none when %s"],
  },
  stream: {
    does: "effective",
    values: "true, false",
    sent: { stream: true },
    effect: { answer: /^event: response\.created\n/ },
    proof: [e2e, "equals the whole response: %s"],
  },
  max_output_tokens: {
    does: "effective",
    values: "at least 1",
    note: "thinking counts; an answer that reaches the limit is `incomplete`",
    sent: { max_output_tokens: 9 },
    effect: { options: { maxTokens: 9 } },
    proof: [client, "an answer that the limit cut is incomplete, and so is its last item"],
  },
  temperature: openAiFields.temperature,
  top_p: openAiFields.top_p,
  tools: {
    does: "effective",
    values: "up to 128: function, custom, and namespace with up to 128 of these",
    note: "one `strict` tool makes all calls follow their schemas; the default is false; a custom tool's grammar is shown to the model but not enforced; all other tools (`web_search`, `mcp`, …) are left out: the model is not told about them, and the response's `tools` does not list them",
    sent: { tools: [weatherTool, { type: "web_search" }] },
    effect: { chat: { toolUse: { tools: [{ name: "get_weather" }], choice: "auto" } } },
    proof: [tools, "the model knows functions alone: custom tools take a text, those of a namespace bear both names, others are left out"],
  },
  tool_choice: {
    does: "effective",
    values: '"none", "auto", "required", a function, a custom tool, "allowed_tools"',
    note: "`required` or a tool: the answer is calls whose arguments follow the schema, with thinking or without",
    sent: { tools: [weatherTool], tool_choice: { type: "function", name: "get_weather" } },
    effect: { chat: { toolUse: { choice: { name: "get_weather" } } } },
  },
  parallel_tool_calls: {
    does: "effective",
    values: "true, false",
    note: "if false, the answer ends after its first call",
    sent: { tools: [weatherTool], parallel_tool_calls: false },
    effect: { chat: { toolUse: { allowsParallelCalls: false } } },
  },
  text: {
    does: "effective",
    values: '`format`: "text", "json_object", "json_schema"',
    note: "enforced token by token; [what schemas can say](structured-output.md); with tools, the answer is either calls or in this format. `verbosity` is ignored",
    sent: { text: { format: { type: "json_schema", name: "a", schema } } },
    effect: { options: { format: { type: "json_schema", schema } } },
    proof: [e2e, "answers in a schema"],
  },
  reasoning: {
    does: "effective",
    values: '`effort`: "none", "minimal", "low", "medium", "high", "xhigh", "max"; `summary`: "auto", "concise", "detailed"',
    note: "`effort`: `none` turns thinking off, any other value turns it on. With `summary`, the thinking is returned as a summary instead of as content, in full all the same: most clients show only summaries",
    sent: { reasoning: { effort: "low" } },
    effect: { chat: { thinking: true } },
    proof: [e2e, "thinks where asked to: %o"],
  },
  include: {
    does: "effective",
    values: "an array of strings",
    note: "`message.output_text.logprobs`; `reasoning.encrypted_content` repeats the thinking in this field (encoded, not encrypted), for clients that send back nothing else of it; other values are ignored",
    sent: { include: ["message.output_text.logprobs", "reasoning.encrypted_content"] },
    effect: { options: { logprobCount: 0 } },
    proof: [e2e, "log-probabilities spell the text and nothing else, thinking or not"],
  },
  top_logprobs: {
    does: "effective",
    values: range(0, 20),
    note: "above 0, log-probabilities are returned even without `include`",
    sent: { top_logprobs: 2 },
    effect: { options: { logprobCount: 2 } },
    proof: [client, "log-probabilities belong to the texts, not to calls or to thinking, whose end came from %s"],
  },
  metadata: {
    does: "effective",
    values: "up to 16 strings of up to 512 characters",
    note: "returned with the response; has no other effect",
    sent: { metadata: { a: "b" } },
    effect: { answer: /"metadata":\{"a":"b"\}/ },
  },
  prompt_cache_key: echoed("prompt_cache_key"),
  safety_identifier: echoed("safety_identifier"),
  truncation: ignored("auto", "truncation", '"auto", "disabled"', "nothing is ever dropped: a conversation that is too long is a 400"),
  stream_options: ignored({ include_obfuscation: true }, "stream_options"),
  prompt_cache_options: ignored({ mode: "implicit" }, "prompt_cache_options", "anything", "prefixes are found without it"),
  prompt_cache_retention: ignored("24h", "prompt_cache_retention"),
  service_tier: ignored("flex", "service_tier"),
  user: ignored("u", "user"),
  background: { ...refused(true, "background", "false", "stream the answer, or wait for it"), accepted: { background: false } } as Field,
  conversation: refused("conv_1", "conversation", "nothing", "use `previous_response_id`"),
  prompt: refused({ id: "pmpt_1" }, "prompt", "nothing", "this server keeps no prompts"),
  context_management: refused([{ type: "compaction" }], "context_management", "nothing", "send a shorter conversation"),
  moderation: refused({ model: "m" }, "moderation", "nothing", "have the texts moderated elsewhere"),
} satisfies Record<keyof ResponseCreateParamsBase, Field>;

/** Fields that a chat request has too, with the same effect. */
export const ownFields = {
  presence_penalty: openAiFields.presence_penalty,
  frequency_penalty: openAiFields.frequency_penalty,
  logit_bias: openAiFields.logit_bias,
  seed: openAiFields.seed,
  stop: openAiFields.stop,
  top_k: otherFields.top_k,
  min_p: otherFields.min_p,
  repetition_penalty: otherFields.repetition_penalty,
  min_tokens: otherFields.min_tokens,
  ignore_eos: otherFields.ignore_eos,
  stop_token_ids: otherFields.stop_token_ids,
  skip_special_tokens: otherFields.skip_special_tokens,
  enable_thinking: otherFields.enable_thinking,
  chat_template_kwargs: otherFields.chat_template_kwargs,
  reasoning_max_tokens: otherFields.reasoning_max_tokens,
  thinking_token_budget: otherFields.thinking_token_budget,
  structured_outputs: otherFields.structured_outputs,
  guided_json: otherFields.guided_json,
  guided_regex: otherFields.guided_regex,
  guided_choice: otherFields.guided_choice,
  guided_grammar: otherFields.guided_grammar,
  cache_salt: otherFields.cache_salt,
  priority: otherFields.priority,
} satisfies Record<string, Field>;

/** What a chat request says in other words. */
export const movedFields = {
  response_format: refused({ type: "json_object" }, "response_format", "nothing", "use `text.format`"),
  max_tokens: refused(9, "max_tokens", "nothing", "use `max_output_tokens`"),
  max_completion_tokens: refused(9, "max_completion_tokens", "nothing", "use `max_output_tokens`"),
  reasoning_effort: refused("low", "reasoning_effort", "nothing", "use `reasoning.effort`"),
} satisfies Record<string, Field>;

const shows = (part: object) => asks({ role: "user", content: [part] });
const oneTurn = [items, "thinking, text and calls that follow each other are one turn; results may hold pictures"] as const;

/** Items of the input, and their parts. */
export const itemFields = {
  message: {
    does: "effective",
    values: "role user, assistant, system or developer; `content` a string or parts",
    note: "`type` may be left out; developer is system",
    sent: asks({ role: "developer", content: "D" }, hi),
    effect: { chat: { messages: [{ role: "system" }, { role: "user" }] } },
    proof: [items, "messages of all roles, in every spelling"],
  },
  input_text: {
    does: "effective",
    values: "a part of messages and results",
    sent: shows({ type: "input_text", text: "Ho" }),
    effect: { chat: { messages: [{ content: [{ text: "Ho" }] }] } },
  },
  input_image: {
    does: "effective",
    values: "a part with `image_url`, a data URI or an allowed URL",
    note: "`detail` low: at most 256 tokens; `file_id` is a 400",
    sent: shows({ type: "input_image", image_url: `data:image/png;base64,${pngBase64}` }),
    effect: { chat: { messages: [{ content: [{ type: "image" }] }] } },
    proof: [e2e, "tells what is in a picture"],
  },
  "output_text, refusal": {
    does: "effective",
    values: "parts of assistant messages",
    sent: asks(
      {
        role: "assistant",
        content: [
          { type: "output_text", text: "A" },
          { type: "refusal", refusal: "No." },
        ],
      },
      hi,
    ),
    effect: { chat: { messages: [{ content: [{ text: "A" }, { text: "No." }] }, {}] } },
  },
  reasoning: {
    does: "effective",
    values:
      "`content` of parts `reasoning_text`; without it, this server's `encrypted_content`; without both, `summary` of parts `summary_text`",
    note: "the thinking before the message or call that follows; the chat template decides whether the model sees it",
    sent: asks(
      { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "Hm." }] },
      { role: "assistant", content: "A" },
      hi,
    ),
    effect: { chat: { messages: [{ role: "assistant", reasoning: "Hm." }, {}] } },
    proof: oneTurn,
  },
  function_call: {
    does: "effective",
    values: "`call_id`, `name`, `arguments`, `namespace`",
    sent: asks(call, hi),
    effect: { chat: { messages: [{ toolCalls: [{ id: "c", name: "f" }] }, {}] } },
    proof: oneTurn,
  },
  function_call_output: {
    does: "effective",
    values: "`call_id` of an earlier call; `output` is a string or parts, including pictures",
    sent: asks(call, { type: "function_call_output", call_id: "c", output: "1" }),
    effect: { chat: { messages: [{}, { role: "tool", toolCallId: "c" }] } },
    proof: oneTurn,
  },
  "custom_tool_call, custom_tool_call_output": {
    does: "effective",
    values: "the same, with `input` in place of `arguments`",
    sent: asks(
      { type: "custom_tool_call", call_id: "c", name: "f", input: "a" },
      { type: "custom_tool_call_output", call_id: "c", output: "1" },
    ),
    effect: {
      chat: { messages: [{ toolCalls: [{ id: "c", name: "f", arguments: '{"input":"a"}' }] }, { role: "tool", toolCallId: "c" }] },
    },
    proof: [tools, "calls come back in the form of what was declared, and are input as they are"],
  },
  item_reference: {
    does: "effective",
    values: "`id` of an item of a stored response",
    note: "an unknown one is a 404",
    sent: asks({ type: "item_reference", id: `msg_${anEarlierId}` }, hi),
    effect: { chat: { messages: [{ role: "assistant" }, { role: "user" }] } },
    proof: [store, "items may be named by their ids instead of sent"],
  },
  input_file: {
    does: "effective",
    values: "`file_data` (a data URI or base64) or `file_url`, `filename`, `detail`",
    note: "a PDF (each page becomes a picture with its text) or a text in UTF-8; see documents.md",
    sent: asks({ role: "user", content: [{ type: "input_file", file_data: "data:,%25PDF-", filename: "a.pdf", detail: "low" }] }),
    effect: { chat: { messages: [{ content: [{ type: "document", title: "a.pdf", maxPixels: 200_704 }] }] } },
    proof: ["test/e2e/documents.test.ts", "the number on its page is read, asked by %s"],
  },
  "input_file: file_id": refused(
    [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }],
    "input",
    "nothing",
    "no files are kept here",
  ),
  "items of other types": refused([{ type: "web_search_call", id: "ws_1" }], "input", "nothing", "OpenAI's own tools are not here"),
} satisfies Record<string, Field>;
