// What is sent for a conversation.

import { describe, expect, test } from "vitest";
import { asStream, buildRequest, goOnWith } from "../../web/chat/request.ts";
import { defaultSettings, type Settings } from "../../web/chat/settings.ts";
import { parseChatRequest } from "../../src/api/openai-schema.ts";
import { makeAnswer, makeAttachment, makeUserTurn } from "./make-turns.ts";

const request = (turns: Parameters<typeof buildRequest>[0], settings: Partial<Settings> = {}) =>
  buildRequest(turns, { ...defaultSettings, ...settings }, "nano");

test("a plain question has nothing but itself", () => {
  expect(request([makeUserTurn()])).toEqual({ model: "nano", messages: [{ role: "user", content: "What is this?" }] });
});

describe("messages", () => {
  test.each([
    [
      { text: "Two", thinking: "Hm." },
      { content: "Two", reasoning_content: "Hm." },
    ],
    [
      { text: "", thinking: "Hm" },
      { content: null, reasoning_content: "Hm" },
    ],
  ])("the beginning of an answer comes last: %o", (begun, expected) => {
    const asked = goOnWith(request([makeUserTurn()]), begun);
    expect(asked.messages.slice(1)).toEqual([{ role: "assistant", ...expected }]);
    expect(parseChatRequest(asked)).toMatchObject({ continue_final_message: true });
  });

  test("pictures and videos come before the text", () => {
    const video = makeAttachment({ kind: "video", url: "data:video/mp4;base64,BBBB" });
    const { messages } = request([makeUserTurn({ attachments: [makeAttachment(), video] })]);

    expect(messages).toEqual([
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
          { type: "video_url", video_url: { url: "data:video/mp4;base64,BBBB" } },
          { type: "text", text: "What is this?" },
        ],
      },
    ]);
  });

  test("a document goes with its name, in its place among the others", () => {
    const document = makeAttachment({ kind: "document", name: "report.pdf", url: "data:application/pdf;base64,CCCC" });
    const { messages } = request([makeUserTurn({ attachments: [makeAttachment(), document, makeAttachment()] })]);

    expect(messages[0]!.content).toMatchObject([
      { type: "image_url" },
      { type: "file", file: { filename: "report.pdf", file_data: "data:application/pdf;base64,CCCC" } },
      { type: "image_url" },
      { type: "text", text: "What is this?" },
    ]);
  });

  test("a picture alone has no empty text", () => {
    const { messages } = request([makeUserTurn({ text: "", attachments: [makeAttachment()] })]);

    expect(messages).toEqual([{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }] }]);
  });

  test("answers carry their thinking, and calls their results", () => {
    const call = { id: "call_1", name: "get_weather", arguments: '{"city": "Toronto"}', result: "sunny" };
    const { messages } = request([makeUserTurn(), makeAnswer({ thinking: "Hm.", calls: [call] }), makeAnswer({ text: "Sunny." })]);

    expect(messages.slice(1)).toEqual([
      {
        role: "assistant",
        content: null,
        reasoning_content: "Hm.",
        tool_calls: [{ id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city": "Toronto"}' } }],
      },
      { role: "tool", tool_call_id: "call_1", content: "sunny" },
      { role: "assistant", content: "Sunny." },
    ]);
  });

  test("an answer that failed before its first word is left out", () => {
    expect(request([makeUserTurn(), makeAnswer({ state: "failed" }), makeUserTurn()]).messages).toHaveLength(2);
  });

  test.each([
    ["", 1],
    [" \n", 1],
    ["Be brief.", 2],
  ])("the system prompt %j comes first where it says anything", (system, count) => {
    expect(request([makeUserTurn()], { system }).messages).toHaveLength(count);
  });
});

describe("settings", () => {
  test.each<[Partial<Settings>, object]>([
    [{ thinking: "on" }, { enable_thinking: true }],
    [{ thinking: "off" }, { enable_thinking: false }],
    [{ thinkingBudget: 0 }, { reasoning_max_tokens: 0 }],
    [{ temperature: 0 }, { temperature: 0 }],
    [{ topP: 0.5 }, { top_p: 0.5 }],
    [{ maxTokens: 5 }, { max_completion_tokens: 5 }],
    [{ seed: 7 }, { seed: 7 }],
    [{ format: "json" }, { response_format: { type: "json_object" } }],
    [
      { format: "schema", schema: '{"type": "integer"}' },
      { response_format: { type: "json_schema", json_schema: { name: "answer", strict: true, schema: { type: "integer" } } } },
    ],
    [{ schema: "{" }, {}],
    [{ tools: "[" }, {}],
  ])("%j is %j", (settings, fields) => {
    const { messages, ...rest } = request([makeUserTurn()], settings);

    expect(messages).toHaveLength(1);
    expect(rest).toEqual({ model: "nano", ...fields });
  });

  test("the server takes all of them", () => {
    const settings = { thinking: "on", thinkingBudget: 5, temperature: 1, topP: 1, maxTokens: 9, seed: 1, system: "Be brief." } as const;
    const document = makeAttachment({ kind: "document", name: "report.pdf", url: "data:application/pdf;base64,CCCC" });
    const turns = [makeUserTurn({ attachments: [makeAttachment(), document] })];

    for (const form of [{ format: "json" }, { format: "schema" }, { useTools: true }] as const) {
      expect(parseChatRequest(asStream(request(turns, { ...settings, ...form })))).toMatchObject({ stream: true, temperature: 1, seed: 1 });
    }
  });
});
