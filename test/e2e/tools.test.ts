// Tools through the whole program: the nano model calls one, gets its result and answers, as the clients' own loops do it.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import type OpenAI from "openai";
import type { ChatCompletionStreamParams } from "openai/lib/ChatCompletionStream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readToolSamples } from "./samples.ts";
import { type RunningServer, startServer } from "./start-server.ts";

const model = "ernie-vl-nano";
let server: RunningServer;
beforeAll(async () => {
  server = await startServer(["--weights", "fp32"]);
});
afterAll(async () => {
  await server?.stop();
});

const cityParameters = { type: "object" as const, properties: { city: { type: "string" as const } }, required: ["city"] };
const description = "Get the weather of a city";
const weatherTool: OpenAI.ChatCompletionTool = {
  type: "function",
  function: { name: "get_weather", description, parameters: cityParameters },
};
const question = { role: "user", content: "What is the weather in Toronto?" } as const;
/** With the blanks of the results that nano was trained on; without them it misreads the number. */
const weather = '{"temperature": 12, "condition": "sunny"}';
const finalAnswer = "It is sunny in Toronto with 12 degrees.";

type Fields = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> & { enable_thinking?: boolean; reasoning_max_tokens?: number };

const requestOf = (fields: Fields): OpenAI.ChatCompletionCreateParamsNonStreaming => ({
  model,
  messages: [question],
  tools: [weatherTool],
  temperature: 0,
  ...fields,
});
const ask = (fields: Fields = {}) => server.client.chat.completions.create(requestOf(fields));

const callsOf = (message: OpenAI.ChatCompletionMessage | undefined) =>
  message?.tool_calls?.map((call) => call.type === "function" && { name: call.function.name, arguments: call.function.arguments });
const callOfToronto = [{ name: "get_weather", arguments: '{"city": "Toronto"}' }];

test.each(readToolSamples())("a sample gets the reference's answer: $skill", async ({ messages, tools, output }) => {
  const { message } = (await ask({ messages, tools })).choices[0]!;

  const written = (callsOf(message) ?? []).map(
    (call) => call && `<tool_call>{"name": "${call.name}", "arguments": ${call.arguments}}</tool_call>`,
  );
  expect((message.content ?? "") + written.join("")).toBe(output);
});

test.each([false, true])("log-probabilities spell the call as the model wrote it, stream: %s", async (stream) => {
  const request = { ...requestOf({}), logprobs: true };
  const completion = stream
    ? await server.client.chat.completions.stream({ ...request, stream: true }).finalChatCompletion()
    : await server.client.chat.completions.create(request);
  const { message, logprobs } = completion.choices[0]!;
  const written = Buffer.from(logprobs!.content!.flatMap(({ bytes }) => bytes!)).toString();
  expect(callsOf(message)).toEqual(callOfToronto);
  expect(written.trim()).toMatch(/^<tool_call>.*"city": "Toronto".*<\/tool_call>$/s);
});

describe("the openai client", () => {
  test.each([{ thinking: false }, { thinking: true }])(
    "calls a tool, sends its result and gets the answer, thinking: $thinking",
    async ({ thinking }) => {
      const first = await ask({ enable_thinking: thinking });
      const message = first.choices[0]!.message;
      expect(first.choices[0]?.finish_reason).toBe("tool_calls");
      expect(message.content).toBeNull();
      expect(callsOf(message)).toEqual(callOfToronto);

      const result = { role: "tool", tool_call_id: message.tool_calls![0]!.id, content: weather } as const;
      const second = await ask({ messages: [question, message, result], enable_thinking: thinking });

      expect(second.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: finalAnswer } });
      expect(second.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(0);
    },
  );

  test.each([{ enable_thinking: false }, { enable_thinking: true }])("streams what it would have sent whole: %o", async (fields) => {
    const whole = (await ask(fields)).choices[0]!;

    const stream = server.client.chat.completions.stream({ ...requestOf(fields), stream: true } as ChatCompletionStreamParams);
    const argumentPieces: string[] = [];
    stream.on("tool_calls.function.arguments.delta", ({ arguments_delta: delta }) => argumentPieces.push(delta));
    const streamed = (await stream.finalChatCompletion()).choices[0]!;

    expect(callsOf(streamed.message)).toEqual(callsOf(whole.message));
    expect(streamed.message.content ?? "").toBe(whole.message.content ?? "");
    expect(streamed.finish_reason).toBe(whole.finish_reason);
    expect(argumentPieces.length).toBeGreaterThan(2);
    expect(argumentPieces.join("")).toBe(callOfToronto[0]!.arguments);
  });

  test.each([false, true])("runs its own loop of tools, stream: %s", async (stream) => {
    const cities: unknown[] = [];
    const getWeather = (args: unknown) => {
      cities.push(args);
      return weather;
    };
    const body = {
      model,
      messages: [question],
      temperature: 0,
      tools: [
        {
          type: "function" as const,
          function: {
            name: "get_weather",
            description,
            parameters: cityParameters,
            function: getWeather,
            parse: (text: string) => JSON.parse(text) as object,
          },
        },
      ],
    };

    const runner = stream ? server.client.chat.completions.runTools({ ...body, stream }) : server.client.chat.completions.runTools(body);

    expect(await runner.finalContent()).toBe(finalAnswer);
    expect(cities).toEqual([{ city: "Toronto" }]);
  });
});

describe("the choice of a tool", () => {
  test.each<[string, Fields]>([
    ["required", { tool_choice: "required" }],
    ["named", { tool_choice: { type: "function", function: { name: "get_weather" } } }],
    ["required, thinking first", { tool_choice: "required", enable_thinking: true }],
    [
      "named, thinking no longer than a budget",
      {
        tool_choice: { type: "function", function: { name: "get_weather" } },
        enable_thinking: true,
        reasoning_max_tokens: 3,
      },
    ],
  ])("%s: makes the model call", async (_, fields) => {
    const completion = await ask({ ...fields });

    expect(callsOf(completion.choices[0]?.message)).toEqual(callOfToronto);
    const thought = completion.usage?.completion_tokens_details?.reasoning_tokens;
    if (fields.reasoning_max_tokens !== undefined) expect(thought).toBe(fields.reasoning_max_tokens);
    else expect(thought! > 0).toBe(fields.enable_thinking ?? false);
  });

  test("named: makes it call even where it would not by itself", async () => {
    const messages = [{ role: "user", content: "Hello" } as const];
    const free = await ask({ messages });
    const forced = await ask({ messages, tool_choice: { type: "function", function: { name: "get_weather" } } });

    expect(free.choices[0]?.message.content).toBe("Hello! How can I help you?");
    expect(forced.choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: { tool_calls: [{ function: { name: "get_weather" } }] },
    });
  });

  test("none: the model knows of no tool, and nothing is a call", async () => {
    const completion = await ask({ tool_choice: "none" });

    expect(completion.choices[0]?.message.tool_calls).toBeUndefined();
    expect(completion.choices[0]?.finish_reason).toBe("stop");
  });
});

test("a call that the limit cuts keeps what it has, and says so", async () => {
  const { completion_tokens: length } = (await ask()).usage!;
  const completion = await ask({ max_completion_tokens: length - 4 });

  expect(completion.choices[0]?.finish_reason).toBe("length");
  const [call] = callsOf(completion.choices[0]?.message) as { name: string; arguments: string }[];
  expect(callOfToronto[0]?.arguments.startsWith(call!.arguments)).toBe(true);
  expect(call!.arguments.length).toBeLessThan(callOfToronto[0]!.arguments.length);
});

describe("the AI SDK", () => {
  const cities: unknown[] = [];
  const request = () => {
    cities.length = 0;
    const provider = createOpenAICompatible({ name: "ernie", baseURL: `${server.url}/v1`, includeUsage: true });
    const getWeather = tool({
      description,
      inputSchema: jsonSchema<{ city: string }>(cityParameters),
      execute: (input) => {
        cities.push(input);
        return weather;
      },
    });
    return {
      model: provider(model),
      prompt: question.content,
      tools: { get_weather: getWeather },
      temperature: 0,
      stopWhen: stepCountIs(3),
    };
  };

  test("generates: a tool is called, and its result answered", async () => {
    const { text, steps } = await generateText(request());

    expect(text).toBe(finalAnswer);
    expect(cities).toEqual([{ city: "Toronto" }]);
    expect(steps.map(({ finishReason }) => finishReason)).toEqual(["tool-calls", "stop"]);
  });

  test("streams: a tool is called, and its result answered", async () => {
    const result = streamText(request());
    let text = "";
    for await (const piece of result.textStream) text += piece;

    expect(text).toBe(finalAnswer);
    expect(cities).toEqual([{ city: "Toronto" }]);
    expect((await result.steps).map(({ finishReason }) => finishReason)).toEqual(["tool-calls", "stop"]);
    expect((await result.totalUsage).outputTokens).toBeGreaterThan(0);
  });

  test("reads the thinking", async () => {
    const provider = createOpenAICompatible({ name: "ernie", baseURL: `${server.url}/v1` });
    const { reasoningText, text } = await generateText({
      model: provider(model),
      prompt: "Add 38 and 38.",
      temperature: 0,
      providerOptions: { ernie: { reasoningEffort: "high" } },
    });

    expect(text).toBe("38 + 38 = 76.");
    expect(reasoningText).toContain("The sum is 76.");
  });
});
