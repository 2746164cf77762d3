// The table of fields, continued: what other servers added to OpenAI's request, and what messages hold.

import { chat, draw, type Field, fields, range, says, tools } from "./field-table.ts";
import { pngBase64 } from "./make-app.ts";

const png = `data:image/png;base64,${pngBase64}`;
const shows = (image: object) => ({ messages: [{ role: "user", content: [{ type: "image_url", image_url: image }] }] });

/** Fields that other servers added, which clients and benchmarks send. */
export const otherFields = {
  add_generation_prompt: {
    does: "refused",
    values: "true",
    sent: { add_generation_prompt: false },
    accepted: { add_generation_prompt: true },
  },
  best_of: { does: "refused", values: "1", note: "use n", sent: { best_of: 3 }, accepted: { best_of: 1 } },
  cache_salt: {
    does: "effective",
    values: "any text",
    note: "only requests with the same salt (and API key) share cached prefixes",
    sent: { cache_salt: "eve" },
    effect: { options: { cacheSalt: '["eve"]' } },
    proof: [fields, "finds a prefix only under the same cache_salt"],
  },
  chat_template_kwargs: {
    does: "effective",
    values: "an object",
    note: "`enable_thinking` and `options.thinking_mode`; no other variable reaches the template",
    sent: { chat_template_kwargs: { enable_thinking: true, tokenize: true } },
    effect: { chat: { thinking: true } },
    proof: [fields, "is switched on by %o"],
  },
  continue_final_message: {
    does: "refused",
    values: "false",
    sent: { continue_final_message: true },
    accepted: { continue_final_message: false },
  },
  echo: { does: "refused", values: "false", sent: { echo: true }, accepted: { echo: false } },
  enable_thinking: {
    does: "effective",
    values: "true, false",
    sent: { enable_thinking: true },
    effect: { chat: { thinking: true } },
    proof: [fields, "is switched on by %o"],
  },
  guided_choice: { does: "refused", values: "nothing", note: "not yet", sent: { guided_choice: ["a"] }, accepted: { guided_choice: null } },
  guided_grammar: {
    does: "refused",
    values: "nothing",
    note: "not yet",
    sent: { guided_grammar: "a" },
    accepted: { guided_grammar: null },
  },
  guided_json: { does: "refused", values: "nothing", note: "not yet", sent: { guided_json: {} }, accepted: { guided_json: null } },
  guided_regex: { does: "refused", values: "nothing", note: "not yet", sent: { guided_regex: "a" }, accepted: { guided_regex: null } },
  ignore_eos: {
    does: "effective",
    values: "true, false",
    sent: { ignore_eos: true },
    effect: { options: { ignoresEndTokens: true } },
    proof: [fields, "ignore_eos goes on to the limit"],
  },
  min_p: {
    does: "effective",
    values: range(0, 1),
    sent: { min_p: 0.1 },
    effect: { options: { sampling: { minP: 0.1 } } },
    proof: [draw, "gives what the definition gives, whatever the number of candidates"],
  },
  min_tokens: {
    does: "effective",
    values: "at least 0",
    note: "tokens before which neither the model's end tokens nor `stop_token_ids` come, thinking counted; stop strings and the last allowed call end the answer all the same",
    sent: { min_tokens: 5 },
    effect: { options: { minTokens: 5 } },
    proof: [fields, "min_tokens keeps the answer from ending before"],
  },
  prompt_logprobs: { does: "refused", values: "0, false", sent: { prompt_logprobs: 1 }, accepted: { prompt_logprobs: 0 } },
  prompt_token_ids: { does: "refused", values: "nothing", sent: { prompt_token_ids: [1] }, accepted: { prompt_token_ids: null } },
  reasoning_max_tokens: {
    does: "effective",
    values: "at least 0",
    note: "tokens of thinking, after which the answer begins (FastDeploy's name); 0: no thinking",
    sent: { reasoning_max_tokens: 9 },
    effect: { options: { thinkingBudget: 9 } },
    proof: [fields, "ends at the budget %s, and an answer follows"],
  },
  repetition_penalty: {
    does: "effective",
    values: range(0.01, 100),
    sent: { repetition_penalty: 1.1 },
    effect: { options: { sampling: { repetitionPenalty: 1.1 } } },
    proof: [draw, "applies penalties as the definition does"],
  },
  return_token_ids: {
    does: "effective",
    values: "true, false",
    note: "`prompt_token_ids` of the answer or first chunk, `token_ids` of each choice",
    sent: { return_token_ids: true },
    effect: { options: { returnsTokenIds: true } },
    proof: [fields, "return_token_ids tells all of them, as /tokenize and /detokenize know them"],
  },
  skip_special_tokens: {
    does: "effective",
    values: "true, false",
    sent: { skip_special_tokens: false },
    effect: { options: { spellsSpecials: true } },
    proof: [fields, "skip_special_tokens: false spells what ignore_eos lets through"],
  },
  stop_token_ids: {
    does: "effective",
    values: "up to 128 ids",
    sent: { stop_token_ids: [5] },
    effect: { options: { stopTokenIds: [5] } },
    proof: [fields, "stop_token_ids end the answer before their text"],
  },
  structured_outputs: {
    does: "refused",
    values: "nothing",
    note: "not yet",
    sent: { structured_outputs: { json: {} } },
    accepted: { structured_outputs: null },
  },
  suffix: { does: "refused", values: '""', sent: { suffix: "end" }, accepted: { suffix: "" } },
  thinking_token_budget: {
    does: "effective",
    values: "at least 0",
    note: "vLLM's name of reasoning_max_tokens",
    sent: { thinking_token_budget: 9 },
    effect: { options: { thinkingBudget: 9 } },
    proof: [fields, "ends at the budget %s, and an answer follows"],
  },
  top_k: {
    does: "effective",
    values: "−1 or 0 (off), or more",
    sent: { top_k: 40 },
    effect: { options: { sampling: { topK: 40 } } },
    proof: [draw, "gives what the definition gives, whatever the number of candidates"],
  },
} as const satisfies Record<string, Field>;

/** What messages hold. */
export const messageFields = {
  "role: system, developer": {
    does: "effective",
    values: "text; developer is system",
    sent: says({ role: "developer", content: "a" }),
    effect: { chat: { messages: [{}, { role: "system" }] } },
  },
  "role: tool": {
    does: "effective",
    values: "text and pictures, with `tool_call_id`",
    sent: says({ role: "tool", tool_call_id: "call_1", content: "a" }),
    effect: { chat: { messages: [{}, { role: "tool", toolCallId: "call_1" }] } },
    proof: [fields, "are read in a tool's result as in a question"],
  },
  "role: function": { does: "refused", values: "—", note: "use tool", sent: says({ role: "function", name: "f", content: "a" }) },
  "content: text": {
    does: "effective",
    values: "a string, or parts",
    sent: { messages: [{ role: "user", content: [{ type: "text", text: "Ho" }] }] },
    effect: { chat: { messages: [{ content: [{ type: "text", text: "Ho" }] }] } },
  },
  "content: image_url": {
    does: "effective",
    values: "data URIs (PNG, JPEG, WebP, GIF, AVIF, TIFF, BMP)",
    note: "http, https and file are refused",
    sent: shows({ url: png }),
    effect: { chat: { messages: [{ content: [{ type: "image" }] }] } },
    proof: [chat, "pictures count as image tokens"],
  },
  "image_url.detail": {
    does: "effective",
    values: '"low", "high", "auto"',
    note: "low: at most 200,704 pixels (256 tokens); high and auto: the model's own limit",
    sent: shows({ url: png, detail: "low" }),
    effect: { chat: { messages: [{ content: [{ type: "image", maxPixels: 200_704 }] }] } },
  },
  "content: video_url": {
    does: "refused",
    values: "—",
    note: "not yet",
    sent: { messages: [{ role: "user", content: [{ type: "video_url", video_url: { url: "data:," } }] }] },
  },
  "content: input_audio, file": {
    does: "refused",
    values: "—",
    sent: { messages: [{ role: "user", content: [{ type: "file", file: {} }] }] },
  },
  tool_calls: {
    does: "effective",
    values: "functions",
    sent: says({ role: "assistant", content: null, tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }] }),
    effect: { chat: { messages: [{}, { toolCalls: [{ id: "1", name: "f", arguments: "{}" }] }] } },
    proof: [tools, "a sample gets the reference's answer: $skill"],
  },
  "reasoning_content, reasoning": {
    does: "effective",
    values: "text",
    note: "both names are in answers, too; whether earlier thinking is shown to the model is its template's choice",
    sent: says({ role: "assistant", content: "a", reasoning: "hm" }),
    effect: { chat: { messages: [{}, { reasoning: "hm" }] } },
  },
  "name, refusal, annotations, audio": {
    does: "ignored",
    values: "anything",
    sent: { messages: [{ role: "user", content: "Hi", name: "eve", refusal: null, annotations: [], audio: null }] },
  },
} as const satisfies Record<string, Field>;
