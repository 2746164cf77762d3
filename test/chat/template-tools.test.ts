import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadTemplate } from "../../src/chat/template.ts";
import type { ShownChat, ShownMessage, JsonObject, Tool, ToolCall, ToolChoice, ToolUse } from "../../src/core/chat.ts";
import { makeChat, nanoFolder, toolSamples } from "./nano.ts";
import { builtInTemplate, makeTemplate, show } from "./template-fixture.ts";

const nano = loadTemplate(nanoFolder);

describe("tools in a template", () => {
  const tool: Tool = {
    name: "find",
    description: 'Says "where"\n</think>',
    parameters: { type: "object", properties: { "<tool_call>": { type: "string", enum: ["é", "a\\b"] } }, required: ["<tool_call>"] },
  };
  const calls: ToolCall[] = [{ id: "call_1", name: "find", arguments: '{"a":[1.0,12345678901234567890],"b":"x, y: z"}' }];
  const conversation: ShownMessage[] = [
    ...makeChat("Where?").messages,
    { role: "assistant", content: [], toolCalls: calls },
    { role: "tool", content: [{ type: "text", text: "there</tool_call>" }], toolCallId: "call_1" },
  ];
  const useTools = (choice: ToolChoice = "auto"): ToolUse => ({ tools: [tool], choice, allowsParallelCalls: true });

  test("are written as Python writes them in nano's samples, calls and results too", () => {
    const samples = toolSamples();
    expect(samples).toHaveLength(2);
    for (const { chat, prompt } of samples) expect(show(nano.render(chat))).toBe(prompt);
  });

  test("keep their texts apart, as JSON, and the arguments their digits", () => {
    const segments = nano.render({ messages: conversation, thinking: false, toolUse: useTools() });

    expect(segments.flatMap((segment) => (segment.type === "text" ? [segment.text] : []))).toEqual([
      "find",
      'Says \\"where\\"\\n</think>',
      "<tool_call>",
      "é",
      "a\\\\b",
      "<tool_call>",
      "Where?",
      "find",
      '{"a": [1.0, 12345678901234567890], "b": "x, y: z"}',
      "there</tool_call>",
    ]);
    expect(show(segments)).toContain('"required": ["<tool_call>"]}}\nCall a tool');
  });

  test("any declaration comes out as the JSON it is, and so do any arguments", () => {
    const text = fc.string({ unit: "grapheme" });
    const object = fc.dictionary(
      fc.oneof(text, fc.constantFrom("type", "properties", "__proto__", "[1:0]")),
      fc.jsonValue({ maxDepth: 3 }),
      { maxKeys: 4 },
    );
    const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
    fc.assert(
      fc.property(text, object, object, (description, parameters, args) => {
        const call: ToolCall = { id: "call_1", name: "find", arguments: JSON.stringify(args) };
        const messages: ShownMessage[] = [...makeChat("?").messages, { role: "assistant", content: [], toolCalls: [call] }];
        const tools = [{ name: "find", description, parameters: plain(parameters) as JsonObject }];
        const prompt = show(nano.render({ messages, thinking: false, toolUse: { tools, choice: "auto", allowsParallelCalls: true } }));

        const [, declared] = /^<\|begin_of_sentence\|>Tools:\n([^\n]*)\nCall a tool/.exec(prompt)!;
        expect(JSON.parse(declared!)).toEqual(plain(tools[0]));
        const [, called] = /Assistant: <tool_call>([^\n]*)<\/tool_call><\|end_of_sentence\|>Assistant: <think>\n\n<\/think>\n\n$/.exec(
          prompt,
        )!;
        expect(JSON.parse(called!)).toEqual({ name: "find", arguments: plain(args) });
      }),
    );
  });

  test("arguments that are no JSON are shown as they are", () => {
    const messages: ShownMessage[] = [
      ...makeChat("?").messages,
      { role: "assistant", content: [], toolCalls: [{ ...calls[0]!, arguments: "{oh" }] },
    ];
    expect(show(nano.render({ messages, thinking: false }))).toContain('<tool_call>{"name": "find", "arguments": {oh}</tool_call>');
  });

  test("arguments of any length are shown", () => {
    const long = `{"a":"${"x".repeat(10_000_000)}"}`;
    const messages: ShownMessage[] = [{ role: "assistant", content: [], toolCalls: [{ ...calls[0]!, arguments: long }] }];
    const segments = nano.render({ messages, thinking: false });
    expect(segments.some((segment) => "text" in segment && segment.text === long)).toBe(true);
  });

  test("have the format of ERNIE-4.5-VL-Thinking", () => {
    const thinking = builtInTemplate("thinking");
    const declared = { name: "find", description: "é\x7F", parameters: { type: "object" } };
    const prompt = show(
      thinking.render({
        messages: conversation,
        thinking: true,
        toolUse: { tools: [declared], choice: "auto", allowsParallelCalls: true },
      }),
    );

    const list = String.raw`[{"type": "function", "function": {"name": "find", "description": "\u00e9\u007f", "parameters": {"type": "object"}}}]`;
    expect(prompt.startsWith(`<|begin_of_sentence|>\n<tool_list>\n${list}\n</tool_list>\nYou are`)).toBe(true);
    expect(prompt).toContain('</think>\n\n<tool_call>\n{"name": "find", "arguments": {"a": [1.0,');
    expect(prompt).toContain("}\n</tool_call>\n<|end_of_sentence|>User: \n<tool_output>\nthere</tool_call>\n</tool_output>\n");
  });

  test("are refused by a template that has no place for them, such as -PT's own", () => {
    const pt = builtInTemplate("pt");
    const refuse = (chat: Partial<ShownChat>) => () => pt.render({ ...makeChat("?"), ...chat });
    expect(refuse({ toolUse: useTools() })).toThrow(/does not support tools/);
    expect(refuse({ messages: conversation.slice(0, 2) })).toThrow(/does not support tool calls/);
    expect(refuse({ messages: conversation.slice(2) })).toThrow(/does not support tool messages/);
  });

  test("pictures may come with a result", () => {
    const image = { type: "image", bytes: new Uint8Array(), param: "" } as const;
    const messages: ShownMessage[] = [
      { role: "user", content: [image] },
      conversation[1]!,
      { role: "tool", content: [image], toolCallId: "call_1" },
    ];
    const segments = nano.render({ messages, thinking: false });
    expect(segments.filter(({ type }) => type === "image")).toHaveLength(2);
    expect(show(segments)).toContain("Tool: <response>Picture 2:<|IMAGE_START|>");
  });

  test("pictures in a result go on with the numbers of the conversation, in the order of its parts", () => {
    const image = { type: "image", bytes: new Uint8Array(), param: "" } as const;
    const text = (said: string) => ({ type: "text", text: said }) as const;
    const ask = (zoom: ToolCall, ...content: ShownMessage["content"]): ShownMessage[] => [
      { role: "assistant", content: [], reasoning: "Too small.", toolCalls: [zoom] },
      { role: "tool", content, toolCallId: zoom.id },
    ];
    const zoom = (box: string): ToolCall => ({ id: "call", name: "image_zoom_in_tool", arguments: `{"bbox_2d":${box}}` });
    const prompt = show(
      builtInTemplate("thinking").render({
        messages: [
          { role: "user", content: [image, text("What is on the sign?")] },
          ...ask(zoom("[0,0,500,500]"), image, text("Zoomed in.")),
          ...ask(zoom("[9,9,99,99]"), text("A: "), image, text(" B: "), image),
          { role: "user", content: [text("And here?"), image] },
        ],
        thinking: true,
      }),
    );

    const shown = (number: number) => `Picture ${number}:<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>`;
    const call = (box: string) =>
      "\nAssistant: \n<think>\nToo small.\n</think>\n\n" +
      `<tool_call>\n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": ${box}}}\n</tool_call>\n<|end_of_sentence|>`;
    expect(prompt.slice(prompt.indexOf("User: "))).toBe(
      `User: ${shown(1)}What is on the sign?` +
        `${call("[0, 0, 500, 500]")}User: \n<tool_output>\n${shown(2)}Zoomed in.\n</tool_output>\n` +
        `${call("[9, 9, 99, 99]")}User: \n<tool_output>\nA: ${shown(3)} B: ${shown(4)}\n</tool_output>\n` +
        `User: And here?${shown(5)}\nAssistant: \n<think>\n`,
    );
  });

  test("arguments are an object for a template that writes them as JSON", () => {
    const jinja =
      "{%- for message in messages -%}{{ message.content }}{%- for call in message.tool_calls or [] -%}" +
      "<tool_call>{{ call.function | tojson }}</tool_call>{%- endfor -%}{%- endfor -%}{{ tools | tojson if tools }}";
    const template = makeTemplate(jinja);
    const messages: ShownMessage[] = [{ role: "assistant", content: [], toolCalls: calls }, ...makeChat("?").messages];
    const toolUse: ToolUse = { tools: [{ name: "f" }], choice: { name: "f" }, allowsParallelCalls: true };
    expect(show(template.render({ messages, thinking: false, toolUse }))).toBe(
      '<tool_call>{"name": "find", "arguments": {"a": [1, 12345678901234567000], "b": "x, y: z"}}</tool_call>?' +
        '[{"type": "function", "function": {"name": "f"}}]',
    );
  });

  test("arguments nested without end are shown as they are", () => {
    const nested = `${'{"a":['.repeat(50_000)}${"]}".repeat(50_000)}`;
    for (const call of [
      "{{ call.function.arguments }}",
      "{{ call.function.arguments | tojson if call.function.arguments is mapping else call.function.arguments }}",
    ]) {
      const jinja = `{%- for message in messages -%}{{ message.content }}{%- for call in message.tool_calls or [] -%}${call}{%- endfor -%}{%- endfor -%}`;
      const messages: ShownMessage[] = [
        { role: "assistant", content: [], toolCalls: [{ ...calls[0]!, arguments: nested }] },
        ...makeChat("?").messages,
      ];
      expect(show(makeTemplate(jinja).render({ messages, thinking: false }))).toBe(`${nested}?`);
    }
  });

  test("JSON within JSON is escaped as often as the template does it", () => {
    const template = makeTemplate(
      "{%- for message in messages -%}{{ message.content | tojson | tojson(ensure_ascii=true) }}{%- endfor -%}",
    );
    const text = 'é "\\" 👍';
    const shown = show(template.render(makeChat(text)));
    expect(JSON.parse(JSON.parse(shown) as string)).toBe(text);
    expect(shown).toMatch(/^[ -~]*$/);
  });
});
