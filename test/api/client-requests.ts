// Bodies in the form in which well-known programs send them, with the fields that mean nothing here.

import { chatPath, pngBase64 } from "./make-app.ts";

const hi = [{ role: "user", content: "Hi" }];
const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${pngBase64}` } };
const parameters = { $schema: "http://json-schema.org/draft-07/schema#", type: "object", properties: {}, additionalProperties: false };
const tools = [{ type: "function", function: { name: "read_file", description: "Reads", parameters } }];
const call = { id: "call_1", type: "function", function: { name: "read_file", arguments: "{}" } };

/** The program and what it asks for, the route, the body. */
export const clientRequests: readonly (readonly [name: string, path: string, body: object])[] = [
  [
    "Open WebUI",
    chatPath,
    {
      stream: true,
      model: "ernie",
      messages: [
        { role: "system", content: "You are." },
        { role: "user", content: [{ type: "text", text: "What is this?" }, picture] },
      ],
      temperature: 0.8,
      top_k: 40,
      min_p: 0,
      frequency_penalty: 0,
      repeat_penalty: 1.1,
      seed: 0,
      stop: ["\n\n"],
      stream_options: { include_usage: true },
      num_ctx: 2048,
      logit_bias: {},
    },
  ],
  [
    "LangChain, with what the openai package's own messages hold",
    chatPath,
    {
      model: "ernie",
      messages: [
        { role: "user", content: "Hi", name: null },
        {
          role: "assistant",
          content: null,
          refusal: null,
          annotations: [],
          audio: null,
          function_call: null,
          tool_calls: [{ ...call, index: 0 }],
          reasoning_content: null,
        },
        { role: "tool", content: [{ type: "text", text: "a" }], tool_call_id: "call_1", name: "read_file" },
        { role: "assistant", content: "", tool_calls: null },
        { role: "user", content: "And?" },
      ],
      tools: [{ ...tools[0], function: { ...tools[0]!.function, strict: null } }],
      n: 1,
      stream: false,
      max_tokens: null,
      parallel_tool_calls: true,
    },
  ],
  [
    "LiteLLM",
    chatPath,
    {
      model: "ernie",
      messages: [
        { role: "assistant", content: [] },
        { role: "user", content: "Hi", cache_control: { type: "ephemeral" } },
      ],
      max_tokens: 10,
      user: "",
      tools: [],
      tool_choice: "auto",
      functions: [],
      function_call: "auto",
      metadata: { tags: ["a"] },
      drop_params: true,
      thinking: { type: "enabled", budget_tokens: 1024 },
    },
  ],
  [
    "Continue and Cline",
    chatPath,
    {
      model: "ernie",
      messages: [
        { role: "system", content: [{ type: "text", text: "You are.", cache_control: { type: "ephemeral" } }] },
        {
          role: "user",
          content: [
            { type: "text", text: "Do it." },
            { type: "text", text: "" },
          ],
        },
        { role: "assistant", content: " ", tool_calls: [{ ...call, function: { name: "read_file", arguments: "" } }] },
        { role: "tool", tool_call_id: "call_1", content: "" },
      ],
      tools,
      tool_choice: "auto",
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: -1,
    },
  ],
  [
    "the AI SDK",
    chatPath,
    {
      model: "ernie",
      messages: hi,
      tools,
      tool_choice: "auto",
      response_format: { type: "json_schema", json_schema: { schema: parameters, strict: true, name: "response", description: "d" } },
      reasoning_effort: "minimal",
      verbosity: "low",
      temperature: 0,
    },
  ],
  [
    "lm-evaluation-harness, chats",
    chatPath,
    {
      messages: [{ role: "user", content: "Q", type: "text" }],
      model: "ernie",
      max_tokens: 256,
      temperature: 0,
      stop: ["Q:", "</s>"],
      seed: 1234,
    },
  ],
  [
    "lm-evaluation-harness, texts",
    "/v1/completions",
    { prompt: [[1, 2, 3]], model: "ernie", max_tokens: 256, temperature: 0, stop: ["</s>"], seed: 1234 },
  ],
  [
    "lm-evaluation-harness, likelihoods",
    "/v1/completions",
    { prompt: [[1, 2, 3], [4]], model: "ernie", max_tokens: 1, logprobs: 1, echo: true, temperature: 0, seed: 1234 },
  ],
  [
    "vllm bench serve, chats",
    chatPath,
    {
      model: "ernie",
      messages: [{ role: "user", content: [{ type: "text", text: "word" }, picture] }],
      temperature: 0,
      max_completion_tokens: 128,
      stream: true,
      stream_options: { include_usage: true },
      ignore_eos: true,
      repetition_penalty: 1,
      top_k: -1,
    },
  ],
  [
    "vllm bench serve, texts",
    "/v1/completions",
    {
      model: "ernie",
      prompt: "word",
      temperature: 0,
      repetition_penalty: 1,
      max_tokens: 128,
      logprobs: null,
      stream: true,
      best_of: 1,
      use_beam_search: false,
      ignore_eos: true,
      stream_options: { include_usage: true },
    },
  ],
  [
    "sglang.bench_serving",
    chatPath,
    {
      model: "ernie",
      messages: hi,
      temperature: 0,
      max_tokens: 128,
      max_completion_tokens: 128,
      stream: true,
      ignore_eos: true,
      best_of: 1,
    },
  ],
  [
    "the model card, by FastDeploy",
    chatPath,
    {
      messages: [{ role: "user", content: [picture, { type: "text", text: "Descript this image" }] }],
      metadata: { enable_thinking: false },
    },
  ],
  [
    "the model card, by vLLM",
    chatPath,
    {
      model: "ernie",
      messages: hi,
      chat_template_kwargs: { enable_thinking: false, other: 1 },
      mm_processor_kwargs: {},
      spaces_between_special_tokens: true,
    },
  ],
  [
    "llama.cpp's page",
    chatPath,
    { messages: hi, cache_prompt: true, samplers: "edkypmxt", dynatemp_range: 0, timings_per_token: true, max_tokens: -1 },
  ],
  [
    "Codex",
    "/v1/responses",
    {
      model: "ernie",
      instructions: "You are.",
      input: [
        { type: "message", role: "developer", content: [{ type: "input_text", text: "Rules" }] },
        { type: "message", role: "user", content: [{ type: "input_text", text: "Do it." }] },
        { type: "reasoning", summary: [], content: null, encrypted_content: null },
        { type: "message", role: "assistant", content: [{ type: "output_text", text: "One moment." }], phase: "commentary" },
        { type: "function_call", name: "exec_command", arguments: '{"cmd":"ls"}', call_id: "call_1" },
        { type: "custom_tool_call", status: "completed", call_id: "call_2", name: "apply_patch", input: "*** Begin Patch" },
        { type: "function_call_output", call_id: "call_1", output: "a.txt" },
        { type: "custom_tool_call_output", call_id: "call_2", output: "Done" },
      ],
      tools: [
        { type: "function", name: "exec_command", description: "Runs", strict: false, parameters },
        {
          type: "custom",
          name: "apply_patch",
          description: "Edits",
          format: { type: "grammar", syntax: "lark", definition: "start: /a/" },
        },
        { type: "web_search", external_web_access: false },
        { type: "namespace", name: "mcp__a", description: "", tools: [{ type: "function", name: "b", strict: false, parameters }] },
      ],
      tool_choice: "auto",
      parallel_tool_calls: true,
      reasoning: { effort: "medium", summary: "auto" },
      store: false,
      stream: true,
      include: ["reasoning.encrypted_content"],
      prompt_cache_key: "0199",
      text: { verbosity: "low" },
      client_metadata: { turn: "1" },
    },
  ],
  [
    "Claude Code with tool search",
    "/v1/messages?beta=true",
    {
      model: "ernie",
      max_tokens: 32_000,
      system: [{ type: "text", text: "You are.", cache_control: { type: "ephemeral" } }],
      tools: [
        { name: "ToolSearch", description: "Finds", input_schema: parameters },
        { name: "mcp__a__b", description: "", input_schema: parameters, defer_loading: true, eager_input_streaming: true },
      ],
      messages: [
        { role: "user", content: [{ type: "text", text: "Do it.", cache_control: { type: "ephemeral" } }] },
        {
          role: "system",
          content: [
            { type: "text", text: "Tools: mcp__a__b" },
            { type: "tool_addition", tool: { type: "tool_reference", name: "mcp__a__b" } },
          ],
        },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "Hm.", signature: "unsigned" },
            { type: "tool_use", id: "toolu_1", name: "ToolSearch", input: { query: "b" }, caller: { type: "direct" } },
          ],
        },
        {
          role: "user",
          content: [{ type: "tool_result", tool_use_id: "toolu_1", content: [{ type: "tool_reference", tool_name: "mcp__a__b" }] }],
        },
      ],
      thinking: { type: "adaptive", display: "omitted" },
      output_config: { effort: "high" },
      context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
      metadata: { user_id: "u" },
      stream: true,
    },
  ],
  ["LM Studio's examples", chatPath, { model: "ernie", messages: hi, temperature: 0.7, max_tokens: -1, stream: false }],
  ["Together's and llama.cpp's schema", chatPath, { messages: hi, response_format: { type: "json_object", schema: parameters } }],
];
