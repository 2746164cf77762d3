// The Responses API through the whole program: nano answers, calls, thinks and goes on, as the official client asks it to.

import type OpenAI from "openai";
import type { ResponseInput } from "openai/resources/responses/responses";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { check, complianceCases } from "../api/openresponses-cases.ts";
import { dataUri, readSamples } from "./samples.ts";
import { startBroken } from "./start-broken.ts";
import { type RunningServer, startServer } from "./start-server.ts";

const model = "ernie-vl-nano";
let server: RunningServer;
beforeAll(async () => {
  server = await startServer(["--weights", "fp32"]);
});
afterAll(async () => {
  await server?.stop();
});

type Fields = Partial<OpenAI.Responses.ResponseCreateParamsNonStreaming> & { enable_thinking?: boolean };
const ask = (fields: Fields) => server.client.responses.create({ model, temperature: 0, ...fields });

const weatherTool = {
  type: "function" as const,
  name: "get_weather",
  description: "Get the weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: null,
};
const question = "What is the weather in Toronto?";
/** With the blanks of the results that nano was trained on. */
const weather = '{"temperature": 12, "condition": "sunny"}';
const finalAnswer = "It is sunny in Toronto with 12 degrees.";

const picture = readSamples().find(
  ({ messages, thinking }) => !thinking && messages.length === 1 && typeof messages[0]?.content !== "string",
)!;
type ChatPart = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };
const aboutPicture: ResponseInput = [
  {
    role: "user",
    content: (picture.messages[0]!.content as ChatPart[]).map((part) =>
      part.type === "text"
        ? { type: "input_text" as const, text: part.text }
        : { type: "input_image" as const, image_url: part.image_url.url, detail: "auto" as const },
    ),
  },
];
const sum = readSamples().find(({ thinking, messages }) => thinking && messages.length === 1 && typeof messages[0]?.content === "string")!;

test("tells what is in a picture", async () => {
  expect((await ask({ input: aboutPicture })).output_text).toBe(picture.answer);
});

test.each([{ reasoning: { effort: "low" as const } }, { enable_thinking: true }])("thinks where asked to: %o", async (fields) => {
  const { output, output_text: text, usage } = await ask({ input: sum.messages[0]!.content as string, ...fields });

  expect(text).toBe(sum.answer);
  expect(output.map((item) => item.type === "reasoning" && item.content?.[0]?.text.trim())).toEqual([sum.reasoning, false]);
  expect(usage?.output_tokens_details.reasoning_tokens).toBeGreaterThan(0);
});

test("calls a function, gets its result by hand and answers", async () => {
  const first = await ask({ input: question, tools: [weatherTool] });
  const [call] = first.output;
  expect(first.output).toMatchObject([{ type: "function_call", name: "get_weather", arguments: '{"city": "Toronto"}' }]);

  const result = { type: "function_call_output" as const, call_id: (call as { call_id: string }).call_id, output: weather };
  const input: ResponseInput = [{ role: "user", content: question }, call as ResponseInput[number], result];
  const second = await ask({ input, tools: [weatherTool] });
  const byId = await ask({ input: [result], previous_response_id: first.id, tools: [weatherTool] });
  const byReference = await ask({
    input: [{ role: "user", content: question }, { type: "item_reference", id: call!.id! }, result],
    tools: [weatherTool],
  });

  for (const { output_text: text, usage } of [second, byId, byReference]) {
    expect(text).toBe(finalAnswer);
    expect(usage?.input_tokens_details.cached_tokens).toBeGreaterThan(0);
  }
});

test("goes on with a conversation about a picture by its id, without computing it again", async () => {
  const first = await ask({ input: aboutPicture });
  const second = await ask({ input: question, previous_response_id: first.id });
  const third = await ask({ input: "Hello", previous_response_id: second.id });

  expect(second.usage!.input_tokens_details.cached_tokens).toBeGreaterThan(first.usage!.input_tokens / 2);
  expect(third.usage!.input_tokens).toBeGreaterThan(second.usage!.input_tokens);
  expect(third.usage!.input_tokens_details.cached_tokens).toBeGreaterThan(first.usage!.input_tokens);
});

test("answers in a schema", async () => {
  const schema = { type: "object", properties: { city: { enum: ["Oslo", "Toronto"] } }, required: ["city"], additionalProperties: false };
  const text = { format: { type: "json_schema" as const, name: "place", schema, strict: true } };

  const { output_parsed: parsed } = await server.client.responses.parse({ model, input: question, temperature: 0, text });

  expect(["Oslo", "Toronto"]).toContain((parsed as { city: string } | null)?.city);
});

test("a schema that cannot be held is refused under the name it has here", async () => {
  const format = { type: "json_schema" as const, name: "a", schema: { type: "strange" }, strict: true };

  await expect(ask({ input: question, text: { format } })).rejects.toMatchObject({ status: 400, param: "text.format.schema.type" });
});

test("log-probabilities spell the text and nothing else, thinking or not", async () => {
  for (const thinking of [false, true]) {
    const { output } = await ask({
      input: sum.messages[0]!.content as string,
      enable_thinking: thinking,
      include: ["message.output_text.logprobs"],
      top_logprobs: 2,
    });
    const part = output.flatMap((item) => (item.type === "message" ? item.content : []))[0];
    expect(
      part?.type === "output_text" &&
        part.logprobs
          ?.map(({ token }) => token)
          .join("")
          .trim(),
    ).toBe(part?.type === "output_text" && part.text.trim());
  }
});

describe("a stream", () => {
  const cases: [string, Fields][] = [
    ["text", { input: "Hello" }],
    ["a picture", { input: aboutPicture }],
    ["thinking", { input: sum.messages[0]!.content as string, enable_thinking: true }],
    ["a call", { input: question, tools: [weatherTool] }],
    ["a call after thinking", { input: question, tools: [weatherTool], enable_thinking: true }],
    ["an answer cut off", { input: "Hello", max_output_tokens: 3 }],
  ];
  const comparable = ({ output, status, incomplete_details: details, usage }: OpenAI.Responses.Response) => ({
    output: JSON.parse(JSON.stringify(output).replaceAll(/"(msg|rs|fc|call)_\w+"/g, '""')) as unknown,
    status,
    details,
    used: [usage?.input_tokens, usage?.output_tokens],
  });

  test.each(cases)("equals the whole response: %s", async (_, fields) => {
    const whole = await ask(fields);
    const stream = await server.client.responses.create({ model, temperature: 0, ...fields, stream: true });
    let last: OpenAI.Responses.ResponseStreamEvent | undefined;
    for await (const event of stream) last = event;

    expect(last && "response" in last && comparable(last.response)).toEqual(comparable(whole));
    const accumulated = await server.client.responses.stream({ model, temperature: 0, ...fields, stream: true }).finalResponse();
    expect(accumulated.output_text).toBe(whole.output_text);
  });

  test("is cancelled by id: it ends, and the slot is free", async () => {
    const slow = await startBroken("slow"); // so that the answer would take more than a minute
    const stream = await slow.client.responses.create({ model, input: "Hello", stream: true, min_tokens: 4000 } as never);
    let id = "";
    let last: OpenAI.Responses.ResponseStreamEvent | undefined;
    for await (const event of stream as unknown as AsyncIterable<OpenAI.Responses.ResponseStreamEvent>) {
      if (event.type === "response.created") id = event.response.id;
      if (event.type === "response.output_text.delta" && last?.type !== event.type) {
        expect((await slow.client.responses.cancel(id)).status).toBe("cancelled");
      }
      last = event;
    }

    expect(last).toMatchObject({ type: "response.incomplete", response: { id, status: "cancelled" } });
    expect((await slow.client.responses.retrieve(id)).status).toBe("cancelled");
    await expect.poll(async () => (await slow.health()).running).toBe(0);
    await slow.stop();
  });
});

describe("openresponses' compliance cases", () => {
  test.each(complianceCases(dataUri("01_describe.png")))("$name", async (testCase) => {
    await check(testCase, (body) =>
      fetch(`${server.url}/v1/responses`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model, temperature: 0, ...body }),
      }),
    );
  });
});
