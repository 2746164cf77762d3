// The Messages API: how streams are written.

import { describe, expect, test } from "vitest";
import { EngineError } from "../../src/core/errors.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import { makeApp, post, type Script, started, thinkingEvents, usage, userSays } from "./make-app.ts";

const ask = (events: Script, fields: object = {}) =>
  makeApp(events).app.request("/v1/messages", post(userSays("Hi", { max_tokens: 100, ...fields })));

describe("a stream", () => {
  const stream = async (events: Script) => {
    return (await (await ask(events, { stream: true, tools: [{ name: "f", input_schema: { type: "object" } }] })).text())
      .split("\n\n")
      .filter((frame) => frame !== "")
      .map((frame) => {
        const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(frame)!;
        const value = JSON.parse(data!) as { type: string };
        expect(value.type).toBe(name);
        return value;
      });
  };

  test("is a message's beginning, its blocks and its end", async () => {
    const events = await stream(thinkingEvents);

    const message = { stop_reason: null, content: [], usage: { input_tokens: 8, cache_read_input_tokens: 4, output_tokens: 0 } };
    expect(events).toMatchObject([
      { type: "message_start", message },
      { type: "ping" },
      { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "", signature: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "Let me " } },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "see." } },
      { type: "content_block_delta", index: 0, delta: { type: "signature_delta", signature: expect.any(String) } },
      { type: "content_block_stop", index: 0 },
      { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "Four." } },
      { type: "content_block_stop", index: 1 },
      { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 9 } },
      { type: "message_stop" },
    ]);
  });

  test("opens and closes each block once, though a call stands between texts", async () => {
    const text: ChatEvent = { type: "content", text: "So." };
    const call: ChatEvent[] = [
      { type: "tool-call", name: "f" },
      { type: "tool-arguments", text: "{}" },
    ];
    const events = await stream([started, text, ...call, text, ...call, { type: "finished", reason: "tool_calls", usage }]);

    const block = (index: number) => ["start", "delta", "stop"].map((part) => ({ type: `content_block_${part}`, index }));
    expect(events.slice(2, -2)).toMatchObject([0, 1, 2, 3].flatMap(block));
  });

  test("that fails in the middle ends with an error event", async () => {
    const events = await stream([started, { type: "content", text: "Hel" }, new EngineError("0xdead")]);

    expect(events.at(-1)).toMatchObject({ type: "error", error: { type: "api_error" }, request_id: expect.stringMatching(/^req_/) });
    expect(JSON.stringify(events)).not.toContain("0xdead");
  });

  test("that stops without its end ends with an error event, and a whole message without one is an error", async () => {
    const events: ChatEvent[] = [started, { type: "content", text: "Hel" }];

    expect((await stream(events)).at(-1)).toHaveProperty("error");
    expect((await ask(events)).status).toBe(500);
  });
});
