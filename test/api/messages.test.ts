// The Messages API over HTTP: what requests mean, what is refused in which words, and how answers end.

import { describe, expect, test } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import { chatPath, makeApp, pngBase64, post, type Script, started, thinkingEvents, usage, userSays } from "./make-app.ts";

const path = "/v1/messages";
const says = (content: unknown, fields: object = {}) => ({ max_tokens: 100, messages: [{ role: "user", content }], ...fields });
const reference = (name: string) => ({ type: "tool_reference", name });
const tool = (fields: object = {}) => ({ name: "f", input_schema: { type: "object" }, ...fields });

async function ask(body: object, script?: Script) {
  const made = makeApp(script);
  const response = await made.app.request(path, post(body));
  return { ...made, response, text: await response.text() };
}

describe("what a request means", () => {
  test("results of tools, questions between them and pictures in them, in order", async () => {
    const image = { type: "image", source: { type: "base64", data: pngBase64 } };
    const { calls } = await ask(
      says([
        { type: "tool_result", tool_use_id: "1" },
        { type: "tool_result", tool_use_id: "2", content: [{ type: "text", text: "b" }, image] },
        { type: "text", text: "c" },
        image,
        { type: "tool_result", tool_use_id: "3", content: "d" },
      ]),
    );

    const picture = (param: string) => ({
      type: "image",
      bytes: Buffer.from(pngBase64, "base64"),
      param: `messages[0].${param}.source.data`,
    });
    expect(calls[0]?.chat.messages).toEqual([
      { role: "tool", toolCallId: "1", content: [] },
      { role: "tool", toolCallId: "2", content: [{ type: "text", text: "b" }, picture("content[1].content[1]")] },
      { role: "user", content: [{ type: "text", text: "c" }, picture("content[3]")] },
      { role: "tool", toolCallId: "3", content: [{ type: "text", text: "d" }] },
    ]);
  });

  test.each<[string, unknown, object]>([
    ["a text", "So", { begun: { text: "So" }, thinking: false }],
    ["nothing yet", [], { begun: undefined, thinking: true }],
    [
      "a thought and a text",
      [
        { type: "thinking", thinking: "Hm.", signature: "" },
        { type: "text", text: "So" },
      ],
      { begun: { reasoning: "Hm.", text: "So" }, thinking: true },
    ],
  ])("a last message of the assistant is the beginning of the answer: %s", async (_, content, expected) => {
    const { calls } = await ask(says("Hi", { enable_thinking: true, messages: [...says("Hi").messages, { role: "assistant", content }] }));

    expect(calls[0]?.chat.messages).toEqual([{ role: "user", content: [{ type: "text", text: "Hi" }] }]);
    expect({ begun: undefined, ...calls[0]?.chat }).toMatchObject(expected);
  });

  test.each<[string, unknown, string[]]>([
    ["a line for the books", "x-anthropic-billing-header: a=1; cch=2;\nYou are.", ["You are."]],
    [
      "a block for the books",
      [
        { type: "text", text: "x-anthropic-billing-header: cch=3;" },
        { type: "text", text: "You are." },
      ],
      ["You are."],
    ],
    ["the words in another place", "Say x-anthropic-billing-header: 1", ["Say x-anthropic-billing-header: 1"]],
    ["nothing else", "x-anthropic-billing-header: cch=3;", []],
  ])("a system prompt with %s", async (_, system, texts) => {
    const { calls } = await ask(says("Hi", { system }));

    const [first] = calls[0]!.chat.messages;
    expect(first?.role === "system" ? first.content.map((part) => part.type === "text" && part.text) : []).toEqual(texts);
  });

  test.each<[string, object, unknown, object | undefined]>([
    ["auto", { type: "auto" }, "auto", undefined],
    ["any", { type: "any" }, "required", { isRequired: true, maxCalls: Infinity }],
    [
      "tool",
      { type: "tool", name: "g" },
      { name: "g" },
      { isRequired: true, maxCalls: 1, tools: [{ name: "g", param: "tools[1].input_schema" }] },
    ],
  ])("the choice %s", async (_, choice, expected, format) => {
    const { calls } = await ask(says("Hi", { tools: [tool(), tool({ name: "g" })], tool_choice: choice }));

    expect(calls[0]?.chat.toolUse?.choice).toEqual(expected);
    if (format === undefined) expect(calls[0]?.options.format).toBeUndefined();
    else expect(calls[0]?.options.format).toMatchObject(format);
  });

  test("max_tokens 0: the prompt is computed, and nothing is answered", async () => {
    const { text, calls } = await ask(says("Hi", { max_tokens: 0 }), thinkingEvents);

    expect(calls[0]?.options.maxTokens).toBe(1);
    expect(JSON.parse(text)).toMatchObject({
      content: [],
      stop_reason: "max_tokens",
      usage: { input_tokens: 8, cache_read_input_tokens: 4, output_tokens: 0, output_tokens_details: { thinking_tokens: 0 } },
    });
    const events = (await ask(says("Hi", { max_tokens: 0, stream: true }), thinkingEvents)).text.match(/^event: \w+/gm);
    expect(events).toEqual(["message_start", "ping", "message_delta", "message_stop"].map((name) => `event: ${name}`));
  });

  test("tools that are added and taken away in the middle", async () => {
    const { calls } = await ask({
      max_tokens: 100,
      tools: [tool(), tool({ name: "g", defer_loading: true }), tool({ name: "h" })],
      tool_choice: { type: "any" },
      messages: [
        { role: "user", content: "Hi" },
        {
          role: "system",
          content: [
            { type: "text", text: "More tools." },
            { type: "tool_addition", tool: reference("g"), cache_control: { type: "ephemeral" } },
            { type: "tool_addition", tool: { type: "tool_definition", definition: tool({ name: "i" }) } },
            { type: "tool_removal", tool: reference("f") },
            { type: "tool_removal", tool: reference("h") },
          ],
        },
        {
          role: "user",
          content: [
            { type: "text", text: "Go." },
            { type: "tool_addition", tool: reference("h") },
          ],
        },
      ],
    });

    expect(calls[0]?.chat.messages).toEqual([
      { role: "user", content: [{ type: "text", text: "Hi" }] },
      { role: "system", content: [{ type: "text", text: "More tools." }] },
      { role: "user", content: [{ type: "text", text: "Go." }] },
    ]);
    expect(calls[0]?.chat.toolUse?.tools.map(({ name }) => name)).toEqual(["g", "i", "h"]);
    expect(calls[0]?.options.format).toMatchObject({
      tools: [
        { name: "g", param: "tools[1].input_schema" },
        { name: "i", param: "messages[1].content[2].tool.definition.input_schema" },
        { name: "h", param: "tools[2].input_schema" },
      ],
    });
  });

  test("tools that a search found, by their names; where another model had taken over is nothing to this one", async () => {
    const found = ["f", "g"].map((name) => ({ type: "tool_reference", tool_name: name }));
    const { calls } = await ask({
      ...says([{ type: "tool_result", tool_use_id: "1", content: found }]),
      messages: [
        {
          role: "assistant",
          content: [
            { type: "fallback", to: { model: "m" } },
            { type: "tool_use", id: "1", name: "search", input: {} },
          ],
        },
        ...says([{ type: "tool_result", tool_use_id: "1", content: found }]).messages,
      ],
    });

    expect(calls[0]?.chat.messages).toEqual([
      { role: "assistant", content: [], toolCalls: [{ id: "1", name: "search", arguments: "{}" }] },
      {
        role: "tool",
        toolCallId: "1",
        content: [
          { type: "text", text: "The tool f can be called now.\n" },
          { type: "text", text: "The tool g can be called now.\n" },
        ],
      },
    ]);
  });

  test("none: of no tools, and a form may hold the answer", async () => {
    const output_config = { format: { type: "json_schema", schema: { type: "object" } } };
    const { calls } = await ask(says("Hi", { tools: [tool()], tool_choice: { type: "none" }, output_config }));

    expect(calls[0]?.chat.toolUse).toBeUndefined();
    expect(calls[0]?.options.format).toMatchObject({ type: "json_schema", param: "output_config.format.schema" });
  });

  test("auto, beside a form: the answer is calls or has the form", async () => {
    const output_format = { type: "json_schema", schema: { type: "object" } };
    const { calls } = await ask(says("Hi", { tools: [tool()], output_format }));

    const otherwise = { type: "json_schema", isStrict: true, param: "output_format.schema" };
    expect(calls[0]?.options.format).toMatchObject({ type: "tool_calls", isRequired: false, tools: [{ name: "f" }], otherwise });
  });
});

describe("what is refused", () => {
  test.each<[message: string, body: object]>([
    ["max_tokens: expected an integer of at least 0, but the field is missing", { messages: says("Hi").messages }],
    ["max_tokens: expected an integer of at least 0, got -1", says("Hi", { max_tokens: -1 })],
    ["messages: expected an array of messages, but the field is missing", { max_tokens: 1 }],
    ["messages: expected at least one message", says("Hi", { messages: [] })],
    [
      "messages: expected at most 10000 messages",
      says("Hi", { messages: Array.from({ length: 10_001 }, () => ({ role: "user", content: "" })) }),
    ],
    [
      'messages[0].role: expected one of "user", "assistant", "system", got "tool"',
      says("Hi", { messages: [{ role: "tool", content: "" }] }),
    ],
    ["messages[0].content: expected a string or an array of blocks, but the field is missing", says(undefined)],
    [
      'messages[0].content[0].type: expected one of "text", "image", "document", "search_result", "tool_result", "tool_addition", "tool_removal", got "thinking"',
      says([{ type: "thinking" }]),
    ],
    [
      'messages[0].content[0].content[0].type: expected one of "text", "image", "document", "search_result", "tool_reference", got "browser_state"',
      says([{ type: "tool_result", tool_use_id: "1", content: [{ type: "browser_state" }] }]),
    ],
    ['messages[0].content[0].source: expected an object with a type, "base64" or "url"', says([{ type: "image" }])],
    [
      'messages[0].content[0].source.data: expected base64 after "base64,"',
      says([{ type: "image", source: { type: "base64", data: "data:image/png;base64,x!" } }]),
    ],
    [
      "messages[1]: to continue an answer, expected a message without tool calls; send the results of the calls instead",
      says("Hi", {
        system: "Be brief.",
        messages: [...says("Hi").messages, { role: "assistant", content: [{ type: "tool_use", id: "1", name: "f", input: {} }] }],
      }),
    ],
    [
      'tools[0].type: expected "custom" (a tool that the client describes and runs), got "bash_20250124"',
      says("Hi", { tools: [{ type: "bash_20250124", name: "bash" }] }),
    ],
    ["tools[0].input_schema: expected an object with at most 10000 values", says("Hi", { tools: [{ name: "f" }] })],
    [
      "tools: expected at most 10000 values in the input_schema of all tools together, got 12006",
      says("Hi", { tools: ["f", "g"].map((name) => tool({ name, input_schema: { type: "object", enum: Array(6000).fill(1) } })) }),
    ],
    ["tools[0].name: expected a name of 1 to 128 letters", says("Hi", { tools: [tool({ name: "a b" })] })],
    ['tools[1].name: expected a name that no other tool has, got "f" again', says("Hi", { tools: [tool(), tool()] })],
    ['tool_choice: expected "auto" or "none" in a request without tools, got "any"', says("Hi", { tool_choice: { type: "any" } })],
    [
      "tool_choice.name: expected the name of one of the tools in the request",
      says("Hi", { tools: [tool()], tool_choice: { type: "tool", name: "g" } }),
    ],
    [
      `tool_choice.name: expected the name of one of the tools in the request, got "${"g".repeat(40)}…"`,
      says("Hi", { tools: [tool()], tool_choice: { type: "tool", name: "g".repeat(10_000) } }),
    ],
    ["thinking.budget_tokens: expected an integer of at least 1, but the field is missing", says("Hi", { thinking: { type: "enabled" } })],
    [
      'thinking.type: expected an object with a type, "enabled", "adaptive" or "disabled", got "hard"',
      says("Hi", { thinking: { type: "hard" } }),
    ],
    ["stop_sequences[0]: expected a string of at least one character", says("Hi", { stop_sequences: [""] })],
    ["container: this server does not support this field", says("Hi", { container: "c" })],
    [
      'messages[0].content[0].tool.name: expected the name of a tool that was declared earlier, got "g"',
      says([{ type: "tool_removal", tool: reference("g") }], { tools: [tool()] }),
    ],
    [
      'messages[0].content[0].tool.type: expected an object with a type, "tool_reference" or "tool_definition", got "mcp_toolset_reference"',
      says([{ type: "tool_addition", tool: { type: "mcp_toolset_reference", server_name: "s" } }]),
    ],
    [
      "tool_choice.name: expected the name of one of the tools in the request",
      says([{ type: "tool_removal", tool: reference("f") }], { tools: [tool()], tool_choice: { type: "tool", name: "f" } }),
    ],
  ])("%s", async (message, body) => {
    const { response, text, calls } = await ask(body);

    expect(response.status).toBe(400);
    expect(JSON.parse(text)).toEqual({
      type: "error",
      error: { type: "invalid_request_error", message: expect.stringContaining(message), details: { error_code: expect.any(String) } },
      request_id: response.headers.get("request-id"),
    });
    expect(calls).toEqual([]);
  });

  test.each([
    ["GET", path, 405, "invalid_request_error"],
    ["POST", `${path}/batches`, 404, "not_found_error"],
  ])("%s %s", async (method, url, status, type) => {
    const response = await makeApp().app.request(url, { method });

    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ type: "error", error: { type } });
  });

  test("a picture that cannot be read, with its place: this envelope has no field for it", async () => {
    const param = "messages[0].content[2].source.data";
    const { text } = await ask(says("Hi"), [new RequestError("the PNG image is damaged", { code: "image_parse_error", param })]);

    expect(JSON.parse(text)).toMatchObject({ error: { message: `${param}: the PNG image is damaged` } });
  });

  test("anything, while the model cannot answer", async () => {
    const { app, calls } = makeApp(undefined, { isReady: () => false });
    const response = await app.request(path, post(says("Hi")));

    expect(response.status).toBe(503);
    const error = { type: "overloaded_error", message: "the server is not ready to answer; try again later" };
    expect(await response.json()).toMatchObject({ error });
    expect(calls).toEqual([]);
  });

  test("in the words of the client's dialect, on all routes", async () => {
    const bad = post(userSays("Hi", { n: 0 }), { "anthropic-version": "2023-06-01" });
    expect(await (await makeApp().app.request(chatPath, bad)).json()).toMatchObject({ type: "error" });
    expect(await (await makeApp().app.request("/v1/messages_", { method: "POST" })).json()).not.toHaveProperty("type");
  });
});

describe("how an answer ends", () => {
  const call = (text: string): ChatEvent[] => [
    { type: "tool-call", name: "f" },
    { type: "tool-arguments", text },
  ];
  const end = (reason: "stop" | "length" | "tool_calls", fields: object = {}): ChatEvent => ({
    type: "finished",
    reason,
    usage,
    ...fields,
  });
  const asText = (text: string) => [{ type: "text", text }];

  test.each<[string, ChatEvent[], object]>([
    ["by itself", [end("stop")], { stop_reason: "end_turn", stop_sequence: null, content: [] }],
    ["at a stop sequence", [end("stop", { stopString: "END" })], { stop_reason: "stop_sequence", stop_sequence: "END" }],
    ["at the limit", [end("length", { usage: { ...usage, completionTokens: 100 } })], { stop_reason: "max_tokens" }],
    ["at the end of the context", [end("length")], { stop_reason: "model_context_window_exceeded" }],
    ["with a call", [...call("{}"), end("tool_calls")], { stop_reason: "tool_use", content: [{ type: "tool_use", input: {} }] }],
    [
      "with a call that is no JSON, which is text",
      [...call('{"a": b}'), end("tool_calls")],
      { stop_reason: "end_turn", content: asText('<tool_call>{"name": "f", "arguments": {"a": b}}</tool_call>') },
    ],
    [
      "within a call, which is text",
      [{ type: "content", text: "So: " }, ...call('{"a": "rm -r /tm'), end("length")],
      { content: asText('So: <tool_call>{"name": "f", "arguments": {"a": "rm -r /tm') },
    ],
    [
      "within the second call, with the first whole",
      [...call("{}"), ...call('{"a'), end("length")],
      { content: [{ type: "tool_use" }, { type: "text" }] },
    ],
    [
      "with a call too deep for any tool, which is text",
      [...call(`{"a":${"[".repeat(9999)}${"]".repeat(9999)}}`), end("tool_calls")],
      { content: [{ type: "text" }] },
    ],
  ])("%s", async (_, events, expected) => {
    const { text } = await ask(says("Hi", { tools: [tool()] }), [started, ...events]);

    expect(JSON.parse(text)).toMatchObject(expected);
  });
});
