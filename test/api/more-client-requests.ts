// More of the same, read in the programs' sources in November 2026. The part of a name before its comma is the program's in docs/clients.md.

import { chatPath, pngBase64 } from "./make-app.ts";

type Requests = readonly (readonly [name: string, path: string, body: object])[];

const model = "ernie";
const url = `data:image/png;base64,${pngBase64}`;
const asked = [{ role: "user", content: [{ type: "text", text: "What is this?" }] }];
const shown = (fields: object = {}) => [
  {
    role: "user",
    content: [
      { type: "image_url", image_url: { url, ...fields } },
      { type: "text", text: "What is this?" },
    ],
  },
];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const tools = [{ type: "function", function: { name: "get_weather", description: "Weather", parameters } }];
const call = { id: "call_1", type: "function", function: { name: "get_weather", arguments: "{}" } };
const usage = { include_usage: true };

export const benchmarkRequests: Requests = [
  [
    "vllm bench serve, texts of an unknown temperature",
    "/v1/completions",
    { model, prompt: "word", repetition_penalty: 1, max_tokens: 8, logprobs: null, stream: true, stream_options: usage, ignore_eos: true },
  ],
  [
    "sglang.bench_serving, pictures",
    chatPath,
    { model, messages: shown(), temperature: 0, max_tokens: 8, stream: true, ignore_eos: true, lora_path: null },
  ],
  [
    "lm-evaluation-harness, pictures",
    chatPath,
    { model, messages: shown({ detail: "auto" }), max_tokens: 8, temperature: 0, stop: [], seed: 1234, until: [] },
  ],
  ["VLMEvalKit, as OpenAI's", chatPath, { model, messages: shown({ detail: "low" }), n: 1, temperature: 0, max_tokens: 8 }],
  ["VLMEvalKit, as LMDeploy", chatPath, { model, messages: shown({ max_dynamic_patch: 6 }), n: 1, temperature: 0, max_tokens: 8 }],
  ["lmms-eval", chatPath, { model, messages: shown(), max_tokens: 1024, temperature: 0 }],
  [
    "evalscope perf",
    chatPath,
    {
      model,
      messages: asked,
      max_tokens: 8,
      min_tokens: 8,
      frequency_penalty: 0,
      repetition_penalty: 1,
      logprobs: true,
      n: 1,
      seed: 42,
      stop: ["x"],
      stop_token_ids: [2],
      stream: true,
      stream_options: usage,
      temperature: 0,
      top_p: 1,
      top_k: 50,
    },
  ],
  ["OpenCompass", chatPath, { model, messages: [{ content: "Q", role: "user" }], max_tokens: 512, n: 1, stop: null, temperature: 0.7 }],
  [
    "GuideLLM, chats",
    chatPath,
    {
      model,
      messages: asked,
      stream: true,
      stream_options: { ...usage, continuous_usage_stats: true },
      max_completion_tokens: 8,
      stop: null,
      ignore_eos: true,
    },
  ],
  [
    "GuideLLM, tools",
    chatPath,
    {
      model,
      messages: [
        ...asked,
        { role: "assistant", content: null, tool_calls: [call] },
        { role: "tool", tool_call_id: "call_1", content: "{}" },
      ],
      tools,
      tool_choice: "required",
      stream: true,
    },
  ],
  [
    "AIPerf",
    chatPath,
    {
      model,
      messages: [{ role: "user", content: [...asked[0]!.content, { type: "image_url", image_url: { url }, uuid: "a" }] }],
      stream: true,
      stream_options: usage,
      max_completion_tokens: 8,
      min_tokens: 8,
      ignore_eos: true,
      nvext: { ignore_eos: true },
    },
  ],
];

export const programRequests: Requests = [
  [
    "Open WebUI, titles and tags",
    chatPath,
    {
      model,
      messages: [{ role: "user", content: "### Task:" }],
      stream: false,
      max_completion_tokens: 1000,
      metadata: { task: "title_generation", task_body: { messages: asked }, chat_id: null },
    },
  ],
  [
    "Open WebUI, files",
    chatPath,
    {
      model,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "file", file: { filename: "a.txt", file_data: `data:text/plain;base64,${btoa("a")}` } },
          ],
        },
      ],
      stream: true,
    },
  ],
  [
    "LobeChat",
    chatPath,
    {
      model,
      messages: shown({ detail: "auto" }),
      stream: true,
      stream_options: usage,
      temperature: 1,
      top_p: 1,
      frequency_penalty: 0,
      presence_penalty: 0,
      user: "u",
    },
  ],
  [
    "AnythingLLM",
    chatPath,
    { model, stream: true, messages: [{ role: "system", content: "" }, ...asked], temperature: 0.7, max_tokens: 1024 },
  ],
  ["Dify, checking its settings", chatPath, { model, max_tokens: 5, messages: [{ role: "user", content: "ping" }] }],
  [
    "Dify, chats",
    chatPath,
    {
      model,
      stream: true,
      messages: shown({ detail: "low" }),
      temperature: 0.7,
      top_p: 1,
      frequency_penalty: 0,
      presence_penalty: 0,
      max_tokens: 512,
      stop: ["\nObservation"],
      tools,
      tool_choice: "auto",
      user: "u",
    },
  ],
  [
    "Roo Code",
    chatPath,
    {
      model,
      temperature: 0,
      messages: [
        { role: "system", content: [{ type: "text", text: "You are.", cache_control: { type: "ephemeral" } }] },
        { role: "user", content: [{ type: "text", text: "...", cache_control: { type: "ephemeral" } }] },
      ],
      stream: true,
      stream_options: usage,
      tools,
      tool_choice: "auto",
      parallel_tool_calls: false,
    },
  ],
  [
    "Cline",
    chatPath,
    { model, messages: [{ role: "system", content: "You are." }, ...shown()], temperature: 0, stream: true, stream_options: usage },
  ],
  [
    "Zed",
    chatPath,
    {
      model,
      messages: [
        ...shown(),
        { role: "assistant", content: null, tool_calls: [call] },
        { role: "tool", content: "ok", tool_call_id: "call_1" },
      ],
      stream: true,
      stream_options: usage,
      max_completion_tokens: 8,
      temperature: 1,
      tools,
      tool_choice: "auto",
      parallel_tool_calls: false,
      prompt_cache_key: "thread",
    },
  ],
  ["Haystack", chatPath, { model, messages: [{ role: "user", content: "Hi" }], stream: false, n: 1, tools }],
  [
    "PydanticAI",
    chatPath,
    {
      model,
      messages: [{ role: "user", content: "Hi" }],
      stream: false,
      tools: [{ type: "function", function: { ...tools[0]!.function, name: "final_result", strict: true } }],
      tool_choice: "required",
      max_completion_tokens: 100,
    },
  ],
  [
    "Spring AI",
    chatPath,
    { messages: [{ content: "Hi", role: "user" }], model, stream: false, temperature: 0.7, metadata: {}, store: false, tools },
  ],
];
