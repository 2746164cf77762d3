// What the tests of the Responses API share: scripts of answers, and the official client on the app.

import OpenAI from "openai";
import type { ChatEvent } from "../../src/core/events.ts";
import { makeApp, post, started, usage } from "./make-app.ts";

export const responsesPath = "/v1/responses";

/** Thinking, a text, then two calls. */
export const callEvents: readonly ChatEvent[] = [
  started,
  { type: "reasoning", text: "I need " },
  { type: "reasoning", text: "the weather." },
  { type: "content", text: "One moment." },
  { type: "tool-call", name: "get_weather" },
  { type: "tool-arguments", text: '{"city": ' },
  { type: "tool-arguments", text: '"Toronto"}' },
  { type: "tool-call", name: "get_weather" },
  { type: "tool-arguments", text: '{"city": "Oslo"}' },
  { type: "finished", reason: "tool_calls", usage: { ...usage, completionTokens: 30, reasoningTokens: 5 } },
];

export const weatherTool = {
  type: "function" as const,
  name: "get_weather",
  description: "Get the weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: false,
};

export function makeResponsesApp(...args: Parameters<typeof makeApp>) {
  const made = makeApp(...args);
  const clientFor = (apiKey: string) =>
    new OpenAI({
      baseURL: "http://x/v1",
      apiKey,
      maxRetries: 0,
      fetch: async (url, init) => made.app.request(new Request(url as string, init)),
    });
  const send = async (body: object, headers: Record<string, string> = {}) => made.app.request(responsesPath, post(body, headers));
  return { ...made, client: clientFor("key"), clientFor, send };
}
