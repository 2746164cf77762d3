// What the items of a request become, and which requests are refused.

import type { ResponseInput, ResponseOutputItem } from "openai/resources/responses/responses";
import { describe, expect, test } from "vitest";
import { type Envelope, helloEvents, pngBase64 } from "./make-app.ts";
import { callEvents, makeResponsesApp, weatherTool } from "./responses-app.ts";

const png = `data:image/png;base64,${pngBase64}`;
const ask = { model: "ernie", input: "Hi" };

const chatOf = async (input: string | ResponseInput, fields: object = {}) => {
  const { client, calls } = makeResponsesApp(helloEvents);
  await client.responses.create({ model: "ernie", input, ...fields });
  return calls[0]!.chat;
};
const text = (value: string) => [{ type: "text", text: value }];

test("a string is a user message, instructions come first", async () => {
  const { messages } = await chatOf("Hi", { instructions: "Be brief." });

  expect(messages).toEqual([
    { role: "system", content: text("Be brief.") },
    { role: "user", content: text("Hi") },
  ]);
});

test("messages of all roles, in every spelling", async () => {
  const { messages } = await chatOf([
    { role: "developer", content: "D" },
    { type: "message", role: "system", content: [{ type: "input_text", text: "S" }] },
    { role: "assistant", content: "A" },
    { type: "message", id: "msg_1", status: "completed", role: "assistant", content: [{ type: "refusal", refusal: "No." }] },
    {
      role: "user",
      content: [
        { type: "input_image", image_url: png, detail: "low" },
        { type: "input_text", text: "U" },
      ],
    },
  ]);

  expect(messages).toEqual([
    { role: "system", content: text("D") },
    { role: "system", content: text("S") },
    { role: "assistant", content: text("A") },
    { role: "assistant", content: text("No.") },
    {
      role: "user",
      content: [
        expect.objectContaining({ type: "image", maxPixels: expect.any(Number), param: "input[4].content[0].image_url" }),
        ...text("U"),
      ],
    },
  ]);
});

test("thinking, text and calls that follow each other are one turn; results may hold pictures", async () => {
  const call = (id: string) => ({ type: "function_call", call_id: id, name: "f", arguments: "{}" }) as const;
  const { messages } = await chatOf([
    { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "Hm." }] },
    { role: "assistant", content: "Wait." },
    call("call_1"),
    call("call_2"),
    { type: "function_call_output", call_id: "call_1", output: "1" },
    { type: "function_call_output", call_id: "call_2", output: [{ type: "input_image", image_url: png }] },
    call("call_3"),
    { type: "function_call_output", call_id: "call_3", output: "3" },
  ]);

  const toolCall = (id: string) => ({ id, name: "f", arguments: "{}" });
  expect(messages).toMatchObject([
    { role: "assistant", reasoning: "Hm.", content: text("Wait."), toolCalls: [toolCall("call_1"), toolCall("call_2")] },
    { role: "tool", toolCallId: "call_1", content: text("1") },
    { role: "tool", toolCallId: "call_2", content: [{ type: "image" }] },
    { role: "assistant", content: [], toolCalls: [toolCall("call_3")] },
    { role: "tool", toolCallId: "call_3" },
  ]);
});

test("thinking after a text or a call begins a new turn, in which thoughts that follow each other are one", async () => {
  const thought = (thinking: string) =>
    ({ type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: thinking }] }) as never;
  const { messages } = await chatOf([
    { role: "assistant", content: "One." },
    thought("H"),
    thought("m."),
    { type: "function_call", call_id: "call_1", name: "f", arguments: "{}" },
    thought("Ah."),
    { role: "assistant", content: "Two." },
    { role: "user", content: "And?" },
  ]);

  expect(messages).toMatchObject([
    { role: "assistant", content: text("One.") },
    { role: "assistant", reasoning: "Hm.", toolCalls: [{ id: "call_1" }] },
    { role: "assistant", reasoning: "Ah.", content: text("Two.") },
    { role: "user" },
  ]);
  expect(messages[0]).not.toHaveProperty("reasoning");
});

test("the output of a response is input of the next request as it is", async () => {
  const { client } = makeResponsesApp(callEvents);
  const { output } = await client.responses.create({ ...ask, tools: [weatherTool] });

  const { messages } = await chatOf([{ role: "user", content: "Hi" }, ...(output as ResponseInput)]);

  expect(messages).toMatchObject([
    { role: "user" },
    { role: "assistant", reasoning: "I need the weather.", content: text("One moment."), toolCalls: [{ name: "get_weather" }, {}] },
  ]);
});

describe("thinking in the form of reasoning.encrypted_content", () => {
  const include = ["reasoning.encrypted_content" as const];
  const thoughtIn = (output: readonly ResponseOutputItem[]) => {
    const [first] = output;
    return first?.type === "reasoning" ? first.encrypted_content : undefined;
  };

  test("is all that a client must send back", async () => {
    const { client } = makeResponsesApp(callEvents);
    const { output } = await client.responses.create({ ...ask, include, store: false });
    const streamed = await client.responses.stream({ ...ask, include, store: false }).finalResponse();

    const sealed = thoughtIn(output);
    expect(sealed).toEqual(expect.any(String));
    expect(thoughtIn(streamed.output)).toBe(sealed);
    for (const content of [undefined, []]) {
      const { messages } = await chatOf([
        { type: "reasoning", id: "rs_1", summary: [], encrypted_content: sealed!, ...(content && { content }) },
        { role: "assistant", content: "Wait." },
        { role: "user", content: "Go on." },
      ]);
      expect(messages[0]).toMatchObject({ role: "assistant", reasoning: "I need the weather.", content: text("Wait.") });
    }
  });

  test("counts before a summary, and a summary is used where there is nothing else", async () => {
    const { client } = makeResponsesApp(callEvents);
    const { output } = await client.responses.create({ ...ask, include, store: false });
    const summary = [
      { type: "summary_text" as const, text: "Sun " },
      { type: "summary_text" as const, text: "or rain?" },
    ];

    for (const { encrypted_content, thought } of [
      { encrypted_content: thoughtIn(output) ?? null, thought: "I need the weather." },
      { encrypted_content: "gAAAAABpZtK3", thought: "Sun or rain?" },
      { encrypted_content: null, thought: "Sun or rain?" },
    ]) {
      const { messages } = await chatOf([
        { type: "reasoning", id: "rs_1", summary, encrypted_content },
        { role: "assistant", content: "Wait." },
        { role: "user", content: "Go on." },
      ]);
      expect(messages[0]).toMatchObject({ role: "assistant", reasoning: thought, content: text("Wait.") });
    }
  });

  test("comes only where it is asked for", async () => {
    const { client } = makeResponsesApp(callEvents);

    const { output } = await client.responses.create(ask);

    expect(output[0]).not.toHaveProperty("encrypted_content");
  });

  test.each(["", "gAAAAABpZtK3", "ernie-vl."])("means nothing where another server made it: %j", async (encrypted_content) => {
    const { messages } = await chatOf([
      { type: "reasoning", id: "rs_1", summary: [], encrypted_content },
      { role: "assistant", content: "Wait." },
      { role: "user", content: "Go on." },
    ]);

    expect(messages[0]).toEqual({ role: "assistant", content: text("Wait.") });
  });
});

test("beside tools, a form is that of an answer without calls; both are known by the names of this API", async () => {
  const { client, calls } = makeResponsesApp(helloEvents);
  const format = { type: "json_schema", name: "a", schema: { type: "object" } } as const;
  await client.responses.create({ ...ask, tools: [weatherTool], text: { format } });

  expect(calls[0]?.options.format).toMatchObject({
    type: "tool_calls",
    isRequired: false,
    tools: [{ name: "get_weather", param: "tools[0].parameters" }],
    otherwise: { type: "json_schema", param: "text.format.schema" },
  });
});

test("the tokens of an input are counted without an answer, with what was said before it", async () => {
  const { client, calls, chats } = makeResponsesApp(helloEvents);
  const first = await client.responses.create(ask);

  const counted = await client.responses.inputTokens.count({ ...ask, input: "And?", previous_response_id: first.id, tools: [weatherTool] });

  expect(counted).toEqual({ object: "response.input_tokens", input_tokens: 3 });
  expect(calls).toHaveLength(1);
  expect(chats[0]).toMatchObject({
    messages: [{ role: "user" }, { role: "assistant", content: text("Hello.") }, { role: "user", content: text("And?") }],
    toolUse: { tools: [{ name: "get_weather" }] },
  });
});

test.each<[string, object, string, string]>([
  ["no input", { input: undefined }, "input", "missing_required_parameter"],
  ["an empty input", { input: [] }, "input", "invalid_value"],
  ["very many items", { input: Array.from({ length: 10_001 }, () => ({ role: "user", content: "" })) }, "input", "invalid_value"],
  ["an unknown role", { input: [{ role: "pirate", content: "a" }] }, "input[0].role", "invalid_value"],
  ["an unknown item", { input: [{ type: "web_search_call" }] }, "input[0].type", "invalid_value"],
  ["a wrong part", { input: [{ role: "user", content: [{ type: "input_audio" }] }] }, "input[0].content[0].type", "invalid_value"],
  [
    "an uploaded file",
    { input: [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }] },
    "input[0].content[0].file_id",
    "invalid_value",
  ],
  [
    "a file without data",
    { input: [{ role: "user", content: [{ type: "input_file", filename: "f" }] }] },
    "input[0].content[0]",
    "invalid_value",
  ],
  [
    "a file in two places",
    { input: [{ role: "user", content: [{ type: "input_file", file_data: "YQ==", file_url: "data:,a" }] }] },
    "input[0].content[0]",
    "invalid_value",
  ],
  [
    "an uploaded picture",
    { input: [{ role: "user", content: [{ type: "input_image", file_id: "f" }] }] },
    "input[0].content[0].image_url",
    "missing_required_parameter",
  ],
  [
    "a picture that is none",
    { input: [{ role: "user", content: [{ type: "input_image", image_url: "data:," }] }] },
    "input[0].content[0].image_url",
    "empty_image_file",
  ],
  [
    "a result without its call",
    { input: [{ type: "function_call_output", call_id: "c", output: "1" }] },
    "input[0].call_id",
    "invalid_value",
  ],
  ["another model", { model: "gpt-9" }, "model", "model_not_found"],
  ["background", { background: true }, "background", "unsupported_parameter"],
  ["a prompt", { prompt: { id: "p" } }, "prompt", "unsupported_parameter"],
  ["a conversation", { conversation: "c" }, "conversation", "unsupported_parameter"],
  ["a tool twice", { tools: [weatherTool, weatherTool] }, "tools[1].name", "invalid_value"],
  ["an unknown tool", { tools: [weatherTool], tool_choice: { type: "function", name: "g" } }, "tool_choice.name", "invalid_value"],
  [
    "an unknown allowed tool",
    { tools: [weatherTool], tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "g" }] } },
    "tool_choice.tools",
    "invalid_value",
  ],
  ["a form of no known type", { text: { format: { type: "xml" } } }, "text.format.type", "invalid_value"],
  ["a schema that is none", { text: { format: { type: "json_schema", name: "a" } } }, "text.format.schema", "missing_required_parameter"],
  ["no limit at all", { max_output_tokens: 0 }, "max_output_tokens", "invalid_value"],
  ["metadata of other types", { metadata: { a: 1 } }, "metadata.a", "invalid_value"],
  ["a wrong temperature", { temperature: 3 }, "temperature", "invalid_value"],
  ["an unknown response", { previous_response_id: "resp_1" }, "previous_response_id", "previous_response_not_found"],
  ["an unknown item", { input: [{ type: "item_reference", id: "msg_1" }] }, "input[0].id", "item_not_found"],
])("is refused: %s", async (_, fields, param, code) => {
  const answer = await makeResponsesApp(helloEvents).send({ ...ask, ...fields });
  const { error } = (await answer.json()) as Envelope;

  expect(error).toMatchObject({ type: "invalid_request_error", param, code, message: expect.stringContaining(param) });
  expect(answer.status).toBe(code.endsWith("not_found") ? 404 : 400);
});
