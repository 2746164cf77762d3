// Every field of a chat request, what this server does with it, and an example that field-table.test.ts proves it by.
// docs/api-fields.md is written from it.

import type { ChatCompletionCreateParamsBase } from "openai/resources/chat/completions";

/** What the service is asked with the field, and not without; and text of the answer, likewise. */
export type Effect = { readonly chat?: object; readonly options?: object; readonly answer?: RegExp };

export type Field =
  | {
      readonly does: "effective";
      readonly values: string;
      readonly note?: string;
      readonly sent: object;
      readonly effect: Effect;
      readonly proof?: Proof;
    }
  /** Accepted with any value, and nothing changes. */
  | { readonly does: "ignored"; readonly values: string; readonly note?: string; readonly sent: object }
  /** A 400 that names the field, unless the value asks for nothing that the server does not support. */
  | { readonly does: "refused"; readonly values: string; readonly note?: string; readonly sent: object; readonly accepted?: object };

/** File and title of a test that shows the effect, with the nano model or in the code that computes it. */
type Proof = readonly [file: string, title: string];

const chat = "test/e2e/chat.test.ts";
export const fields = "test/e2e/fields.test.ts";
export const tools = "test/e2e/tools.test.ts";
export const structured = "test/e2e/structured-output.test.ts";
export const draw = "test/model/draw-token.test.ts";

const weather = { type: "function", function: { name: "get_weather", parameters: { type: "object" } } };
const clock = { type: "function", function: { name: "clock" } };
export const says = (message: object) => ({ messages: [{ role: "user", content: "Hi" }, message] });
export const range = (min: number, max: number) => `${min} … ${max}`;

const service = (values: string, value: unknown, name: string, note?: string): Field => {
  return { does: "ignored", values, sent: { [name]: value }, ...(note && { note }) };
};

/** OpenAI's fields: the type makes the list complete. */
export const openAiFields = {
  messages: {
    does: "effective",
    values: "at least one; see below",
    sent: says({ role: "user", content: "Ho" }),
    effect: { chat: { messages: [{ role: "user" }, { role: "user", content: [{ type: "text", text: "Ho" }] }] } },
    proof: [chat, "the samples get the reference's answers"],
  },
  model: {
    does: "refused",
    values: "a name of the served model, or nothing",
    note: "another name is a 404",
    sent: { model: "gpt-9" },
    accepted: { model: "ernie" },
  },
  audio: { does: "refused", values: "nothing", sent: { audio: { voice: "x", format: "wav" } }, accepted: { audio: null } },
  frequency_penalty: {
    does: "effective",
    values: range(-2, 2),
    sent: { frequency_penalty: 0.5 },
    effect: { options: { sampling: { frequencyPenalty: 0.5 } } },
    proof: [draw, "applies penalties as the definition does"],
  },
  function_call: {
    does: "refused",
    values: '"none", "auto"',
    note: "use tool_choice",
    sent: { function_call: { name: "f" } },
    accepted: { function_call: "auto" },
  },
  functions: { does: "refused", values: "none", note: "use tools", sent: { functions: [{ name: "f" }] }, accepted: { functions: [] } },
  logit_bias: {
    does: "effective",
    values: "up to 1,024 token ids, −100 … 100 each",
    note: "added to the logits, before penalties",
    sent: { logit_bias: { "5": -1.5 } },
    effect: { options: { sampling: { logitBias: [[5, -1.5]] } } },
    proof: [fields, "logit_bias keeps a token out of the answer, or fills the answer with it"],
  },
  logprobs: {
    does: "effective",
    values: "true, false",
    note: "for every token that the model chose, including thinking and call markers, except the end token. They are the model's own probabilities: at temperature 1, before bias, penalties and limits",
    sent: { logprobs: true },
    effect: { options: { logprobCount: 0 } },
    proof: [fields, "are the model's own, streaming or not, whatever the sampling"],
  },
  max_completion_tokens: {
    does: "effective",
    values: "at least 1, or -1",
    note: "thinking counts; by default, or with -1, as many as the context has room for",
    sent: { max_completion_tokens: 9 },
    effect: { options: { maxTokens: 9 } },
    proof: [chat, "%s ends the answer"],
  },
  max_tokens: {
    does: "effective",
    values: "at least 1, or -1",
    note: "older name for max_completion_tokens; if both are given, they must agree",
    sent: { max_tokens: 9 },
    effect: { options: { maxTokens: 9 } },
    proof: [chat, "%s ends the answer"],
  },
  metadata: {
    does: "effective",
    values: "an object",
    note: "only `enable_thinking` has an effect (FastDeploy's field)",
    sent: { metadata: { enable_thinking: "true", run: "7" } },
    effect: { chat: { thinking: true } },
    proof: [fields, "is switched on by %o"],
  },
  modalities: { does: "refused", values: '["text"]', sent: { modalities: ["text", "audio"] }, accepted: { modalities: ["text"] } },
  moderation: { does: "refused", values: "nothing", sent: { moderation: { model: "x" } }, accepted: { moderation: null } },
  n: {
    does: "effective",
    values: range(1, 8),
    note: "all share one prefill, and each has the next seed",
    sent: { n: 3 },
    effect: { options: { choiceCount: 3 } },
    proof: [fields, "answers differ by seeds counted up, and a seed repeats them"],
  },
  parallel_tool_calls: {
    does: "effective",
    values: "true, false",
    note: "if false, the answer ends after its first call",
    sent: { tools: [clock], parallel_tool_calls: false },
    effect: { chat: { toolUse: { allowsParallelCalls: false } } },
    proof: ["test/chat/complete.test.ts", "ends after the first call where calls in parallel are not wanted"],
  },
  prediction: service("anything", { type: "content", content: "a" }, "prediction", "only a hint for speed"),
  presence_penalty: {
    does: "effective",
    values: range(-2, 2),
    sent: { presence_penalty: 0.5 },
    effect: { options: { sampling: { presencePenalty: 0.5 } } },
    proof: [draw, "applies penalties as the definition does"],
  },
  prompt_cache_key: service("anything", "k", "prompt_cache_key", "cached prefixes are found without it"),
  prompt_cache_options: service("anything", {}, "prompt_cache_options"),
  prompt_cache_retention: service("anything", "24h", "prompt_cache_retention"),
  reasoning_effort: {
    does: "effective",
    values: '"none", "minimal", "low", "medium", "high", "xhigh", "max"',
    note: "`none` turns thinking off, any other value turns it on; `reasoning_max_tokens` limits its length",
    sent: { reasoning_effort: "low" },
    effect: { chat: { thinking: true } },
    proof: [fields, "is switched on by %o"],
  },
  response_format: {
    does: "effective",
    values: '{"type": "text"}, "json_object", "json_schema"',
    note: "[what schemas can say](structured-output.md); with `json_object`, `schema` may hold a schema, as in llama.cpp, or `value`, as in Hugging Face's clients; with tools, the answer is either calls or in this format",
    sent: { response_format: { type: "json_schema", json_schema: { name: "n", strict: true, schema: { type: "object" } } } },
    effect: { options: { format: { type: "json_schema", schema: { type: "object" }, isStrict: true } } },
    proof: [structured, "a schema holds, thinking: $thinking, stream: $stream, temperature $temperature"],
  },
  safety_identifier: service("anything", "s", "safety_identifier"),
  seed: {
    does: "effective",
    values: "any integer",
    note: "random by default; the same request with the same seed gets the same answer",
    sent: { seed: 7 },
    effect: { options: { sampling: { seed: 7 } } },
    proof: [chat, "the same seed draws the same answer at temperature 1, other seeds draw others"],
  },
  service_tier: service("anything", "flex", "service_tier"),
  stop: {
    does: "effective",
    values: "a string, or up to 16 of at most 256 bytes",
    note: "applies to text, not to thinking or the arguments of calls",
    sent: { stop: ["a", "b"] },
    effect: { options: { stopStrings: ["a", "b"] } },
    proof: [chat, "end the answer before themselves, stream: %s"],
  },
  store: service("anything", true, "store", "nothing is stored"),
  stream: {
    does: "effective",
    values: "true, false",
    sent: { stream: true },
    effect: { answer: /^data: \{.*\n\ndata: \[DONE\]\n\n$/s },
    proof: [chat, "a stream of %s is the whole answer in pieces, with the same usage"],
  },
  stream_options: {
    does: "effective",
    values: '{"include_usage": true, false}',
    note: "include_obfuscation is ignored",
    sent: { stream: true, stream_options: { include_usage: true, include_obfuscation: true } },
    effect: { answer: /"choices":\[\],"usage":\{/ },
    proof: [chat, "a stream of %s is the whole answer in pieces, with the same usage"],
  },
  temperature: {
    does: "effective",
    values: range(0, 2),
    note: "by default the checkpoint's, else 1",
    sent: { temperature: 0.5 },
    effect: { options: { sampling: { temperature: 0.5 } } },
    proof: [draw, "follows the probabilities"],
  },
  tool_choice: {
    does: "effective",
    values: '"none", "auto", "required", a function, "allowed_tools"',
    note: "`required` or a function: the answer is calls whose arguments follow the tool's parameters. `allowed_tools`: the model is told about these tools only. `none`: about no tools",
    sent: { tools: [weather, clock], tool_choice: { type: "function", function: { name: "clock" } } },
    effect: { chat: { toolUse: { choice: { name: "clock" } } } },
    proof: [tools, "%s: makes the model call"],
  },
  tools: {
    does: "effective",
    values: "up to 128 functions",
    note: "if the checkpoint's chat template supports tools; one `strict` tool makes all calls follow their parameters; `custom` tools are refused",
    sent: { tools: [weather, clock] },
    effect: { chat: { toolUse: { tools: [{ name: "get_weather" }, { name: "clock" }] } } },
    proof: [tools, "calls a tool, sends its result and gets the answer, thinking: $thinking"],
  },
  top_logprobs: {
    does: "effective",
    values: range(0, 20),
    note: "needs `logprobs: true`; bytes that do not form a whole character are written as `bytes:\\xe4`",
    sent: { logprobs: true, top_logprobs: 5 },
    effect: { options: { logprobCount: 5 } },
    proof: [fields, "are the model's own, streaming or not, whatever the sampling"],
  },
  top_p: {
    does: "effective",
    values: range(0, 1),
    note: "by default the checkpoint's, else 1",
    sent: { top_p: 0.5 },
    effect: { options: { sampling: { topP: 0.5 } } },
    proof: [draw, "gives what the definition gives, whatever the number of candidates"],
  },
  user: service("anything", "u", "user"),
  verbosity: service("anything", "low", "verbosity"),
  web_search_options: { does: "refused", values: "nothing", sent: { web_search_options: {} }, accepted: { web_search_options: null } },
} as const satisfies Record<keyof ChatCompletionCreateParamsBase, Field>;
