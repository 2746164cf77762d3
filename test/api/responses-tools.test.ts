// Tools as agents declare them: functions, custom tools, both in namespaces, and those that only OpenAI runs.

import type { ResponseInput, Tool } from "openai/resources/responses/responses";
import { describe, expect, test } from "vitest";
import { responseSchema } from "../../src/api/responses/response-schema.ts";
import { RequestError } from "../../src/core/errors.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import { type Envelope, helloEvents, started, usage } from "./make-app.ts";
import { readEvents } from "./response-schema.ts";
import { makeResponsesApp, weatherTool } from "./responses-app.ts";

const ask = { model: "ernie", input: "Hi" };
const status: Tool = { type: "function", name: "status", parameters: { type: "object" }, strict: false };
const patch = {
  type: "custom" as const,
  name: "apply_patch",
  description: "Edits files.",
  format: { type: "grammar" as const, syntax: "lark" as const, definition: "start: /.+/" },
};
/** What Codex sends to any server, whether it has them or not. */
const agentTools = [
  weatherTool,
  patch,
  { type: "web_search", external_web_access: false },
  { type: "image_generation", output_format: "png" },
  { type: "tool_search", execution: "client", description: "Finds tools.", parameters: { type: "object" } },
  { type: "namespace", name: "mcp__jira", description: "Tickets.", tools: [status, { type: "custom", name: "query" }] },
  { type: "namespace", name: "mcp__wiki__", description: "Pages.", tools: [status] },
] as Tool[];

const many = (count: number) => Array.from({ length: count }, (_, index) => ({ ...status, name: `f${index}` }));

const callsOf = (...calls: readonly (readonly [name: string, argumentsText: string])[]): ChatEvent[] => [
  started,
  ...calls.flatMap(([name, text]): ChatEvent[] => [
    { type: "tool-call", name },
    { type: "tool-arguments", text },
  ]),
  { type: "finished", reason: "tool_calls", usage },
];
const agentCalls = callsOf(
  ["get_weather", '{"city": "Oslo"}'],
  ["mcp__jira__status", "{}"],
  ["mcp__wiki__status", "{}"],
  ["apply_patch", '{"input": "*** Begin Patch\\n"}'],
  ["mcp__jira__query", '{"input": 1}'],
);

test("the model knows functions alone: custom tools take a text, those of a namespace bear both names, others are left out", async () => {
  const { client, calls } = makeResponsesApp(helloEvents);

  const { tools } = await client.responses.create({ ...ask, tools: agentTools, include: ["reasoning.encrypted_content"], store: false });

  const told = calls[0]!.chat.toolUse!.tools;
  expect(told.map(({ name }) => name)).toEqual([
    "get_weather",
    "apply_patch",
    "mcp__jira__status",
    "mcp__jira__query",
    "mcp__wiki__status",
  ]);
  expect(told[1]).toEqual({
    name: "apply_patch",
    description: "Edits files.\n\nIts input follows this lark grammar:\nstart: /.+/",
    parameters: { type: "object", properties: { input: { type: "string" } }, required: ["input"], additionalProperties: false },
  });
  expect(tools.map(({ type }) => type)).toEqual(["function", "custom", "namespace", "namespace"]);
});

test("calls come back in the form of what was declared, and are input as they are", async () => {
  const { client, send } = makeResponsesApp(agentCalls);
  const { output } = await client.responses.create({ ...ask, tools: agentTools });

  expect(output).toMatchObject([
    { type: "function_call", name: "get_weather", arguments: '{"city": "Oslo"}' },
    { type: "function_call", name: "status", namespace: "mcp__jira", arguments: "{}" },
    { type: "function_call", name: "status", namespace: "mcp__wiki__", arguments: "{}" },
    { type: "custom_tool_call", name: "apply_patch", input: "*** Begin Patch\n" },
    { type: "custom_tool_call", name: "query", namespace: "mcp__jira", input: '{"input": 1}' },
  ]);
  expect(output[0]).not.toHaveProperty("namespace");
  responseSchema.parse(await (await send({ ...ask, tools: agentTools })).json());

  const next = makeResponsesApp(helloEvents);
  const [, ofNamespace, , custom] = output as (ResponseInput[number] & { call_id: string })[];
  await next.client.responses.create({
    model: "ernie",
    input: [
      ofNamespace!,
      custom!,
      { type: "function_call_output", call_id: ofNamespace!.call_id, output: "fine" },
      { type: "custom_tool_call_output", call_id: custom!.call_id, output: [{ type: "input_text", text: "done" }] },
    ],
  });
  expect(next.calls[0]!.chat.messages).toMatchObject([
    {
      role: "assistant",
      toolCalls: [
        { name: "mcp__jira__status", arguments: "{}" },
        { name: "apply_patch", arguments: '{"input":"*** Begin Patch\\n"}' },
      ],
    },
    { role: "tool", toolCallId: ofNamespace!.call_id, content: [{ text: "fine" }] },
    { role: "tool", toolCallId: custom!.call_id, content: [{ text: "done" }] },
  ]);
});

test("a stream tells a custom tool's input in one piece, when it is known", async () => {
  const { send } = makeResponsesApp(agentCalls);

  const answer = await send({ ...ask, tools: agentTools, stream: true });
  const events = readEvents(await answer.text()) as (ReturnType<typeof readEvents>[number] &
    Record<"item_id" | "input" | "delta", unknown>)[];

  const ofCustom = events.filter(({ item_id: id }) => String(id).startsWith("ctc_"));
  expect(ofCustom.map(({ type, input, delta }) => [type, input ?? delta])).toEqual([
    ["response.custom_tool_call_input.delta", "*** Begin Patch\n"],
    ["response.custom_tool_call_input.done", "*** Begin Patch\n"],
    ["response.custom_tool_call_input.delta", '{"input": 1}'],
    ["response.custom_tool_call_input.done", '{"input": 1}'],
  ]);
});

test("stored items keep their namespaces and inputs", async () => {
  const { client } = makeResponsesApp(agentCalls);
  const first = await client.responses.create({ ...ask, tools: agentTools });
  const [, ofNamespace, , custom] = first.output as { call_id: string }[];
  const input: ResponseInput = [
    { type: "custom_tool_call_output", call_id: custom!.call_id, output: "done" },
    { type: "function_call_output", call_id: ofNamespace!.call_id, output: "fine" },
  ];
  const second = await client.responses.create({ ...ask, tools: agentTools, previous_response_id: first.id, input });

  const listed = await client.responses.inputItems.list(second.id, { order: "asc" });
  expect(listed.data).toMatchObject([
    { type: "custom_tool_call_output", id: expect.stringMatching(/^ctco_/), output: "done" },
    { type: "function_call_output", output: "fine" },
  ]);
});

test("a custom tool can be demanded", async () => {
  const { client, calls } = makeResponsesApp(helloEvents);
  await client.responses.create({ ...ask, tools: agentTools, tool_choice: { type: "custom", name: "apply_patch" } });

  expect(calls[0]!.options.format).toMatchObject({ isRequired: true, tools: [{ name: "apply_patch", param: "tools[1].parameters" }] });
});

test("a path of a tool that a client's text looks like stays as it is", async () => {
  const message = 'text.format.schema.type: expected one of string, number, got "tools[9].function"';
  const { send } = makeResponsesApp([new RequestError(message, { param: "response_format.json_schema.schema.type" })]);

  const answer = await send(ask);

  expect(answer.status).toBe(400);
  expect(((await answer.json()) as Envelope).error).toMatchObject({ message, param: "text.format.schema.type" });
});

describe("a mistake is named where it stands", () => {
  test.each<[string, object, string]>([
    [
      "of a namespace",
      { tools: [{ type: "web_search" }, { type: "namespace", name: "n", tools: [status, status] }] },
      "tools[1].tools[1].name",
    ],
    ["behind one that is left out", { tools: [{ type: "web_search" }, weatherTool, weatherTool] }, "tools[2].name"],
    [
      "of the two names together",
      {
        tools: [
          { type: "namespace", name: "a", tools: [status] },
          { ...status, name: "a__status" },
        ],
      },
      "tools[1].name",
    ],
    ["of a function", { tools: [{ type: "function" }] }, "tools[0].name"],
    ["of an empty namespace", { tools: [{ type: "namespace", name: "n", tools: [] }] }, "tools[0].tools"],
    [
      "of a namespace in a namespace",
      { tools: [{ type: "namespace", name: "n", tools: [{ type: "namespace" }] }] },
      "tools[0].tools[0].type",
    ],
    ["of a tool without a type", { tools: [{ name: "f" }] }, "tools[0].type"],
    ["of a tool of OpenAI that is demanded", { tools: [{ type: "web_search" }], tool_choice: { type: "web_search" } }, "tool_choice.type"],
    [
      "of more tools than the model can be told of",
      { tools: [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => ({ type: "namespace", name: `n${n}`, tools: many(114) })) },
      "tools",
    ],
    ["of demanding nothing", { tools: [{ type: "web_search" }], tool_choice: "required" }, "tool_choice"],
  ])("%s", async (_, fields, param) => {
    const answer = await makeResponsesApp(helloEvents).send({ ...ask, ...fields });

    expect(answer.status).toBe(400);
    const { error } = (await answer.json()) as Envelope;
    expect(error).toMatchObject({ param, message: expect.stringContaining(`${param}: expected `) });
  });
});
