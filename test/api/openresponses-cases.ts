// The seven cases of openresponses' compliance test, in our words and with a city that nano knows: what is asked, and what must hold
// besides the schema.

import { expect } from "vitest";
import { responseSchema } from "../../src/api/responses/response-schema.ts";
import { readEvents, type WireEvent, type WireResponse } from "./response-schema.ts";

export type ComplianceCase = {
  readonly name: string;
  readonly body: object;
  readonly isStream?: boolean;
  readonly holds: (response: WireResponse, events: readonly WireEvent[]) => void;
};

const says = (role: string, content: unknown) => ({ type: "message", role, content });
const weather = {
  input: [says("user", "What is the weather in Toronto?")],
  tools: [
    {
      type: "function",
      name: "get_weather",
      description: "Get the weather of a city",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  ],
};

const isComplete: ComplianceCase["holds"] = ({ status, output }) => {
  expect(status).toBe("completed");
  expect(output).not.toHaveLength(0);
};
const hasCall: ComplianceCase["holds"] = ({ output }) => expect(output.map(({ type }) => type)).toContain("function_call");

export function complianceCases(imageUrl: string): ComplianceCase[] {
  return [
    { name: "basic-response", body: { input: [says("user", "Say hello in three words.")] }, holds: isComplete },
    { name: "streaming-response", body: { input: [says("user", "Count from 1 to 5.")] }, isStream: true, holds: isComplete },
    {
      name: "system-prompt",
      body: { input: [says("system", "Answer like a pirate."), says("user", "Say hello.")] },
      holds: isComplete,
    },
    { name: "tool-calling", body: weather, holds: hasCall },
    {
      name: "tool-calling-streaming",
      body: weather,
      isStream: true,
      holds: (response, events) => {
        hasCall(response, events);
        const ofCalls = events.filter(({ type, item }) => item?.type === "function_call" || type.includes("function_call"));
        expect([...new Set(ofCalls.map(({ type }) => type))]).toEqual([
          "response.output_item.added",
          "response.function_call_arguments.delta",
          "response.function_call_arguments.done",
          "response.output_item.done",
        ]);
      },
    },
    {
      name: "image-input",
      body: {
        input: [
          says("user", [
            { type: "input_text", text: "What is in this picture? Answer in one sentence." },
            { type: "input_image", image_url: imageUrl },
          ]),
        ],
      },
      holds: isComplete,
    },
    {
      name: "multi-turn",
      body: {
        input: [says("user", "My name is Alice."), says("assistant", "Hello Alice! How can I help you?"), says("user", "What is my name?")],
      },
      holds: isComplete,
    },
  ];
}

/** `send` posts a body to /v1/responses. */
export async function check({ body, isStream = false, holds }: ComplianceCase, send: (body: object) => Promise<Response>): Promise<void> {
  const answer = await send({ ...body, stream: isStream });
  expect(answer.status).toBe(200);
  if (!isStream) return holds(responseSchema.parse(await answer.json()), []);
  const events = readEvents(await answer.text());
  holds(responseSchema.parse(events.at(-1)?.response), events);
}
