// The official client against the app: its types, its accumulator and its error classes are the judges.

import OpenAI, { APIError, AuthenticationError, BadRequestError, InternalServerError, NotFoundError } from "openai";
import { describe, expect, test } from "vitest";
import { ChatStream, toUsageChunk } from "../../src/api/chat-stream.ts";
import { type AnswerHead, toChatCompletion } from "../../src/api/to-openai.ts";
import { EngineError, RequestError } from "../../src/core/errors.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import { finished, helloEvents, makeApp, pngBase64, started, thinkingEvents, untilAborted, usage } from "./make-app.ts";

function makeClient(...args: Parameters<typeof makeApp>) {
  const made = makeApp(...args);
  let requestCount = 0;
  const client = new OpenAI({
    baseURL: "http://x/v1",
    apiKey: "key",
    fetch: async (url, init) => {
      requestCount++;
      return made.app.request(new Request(url as string, init));
    },
  });
  return { ...made, client, requestCount: () => requestCount };
}

const messages = [{ role: "user" as const, content: "Hi" }];

test("our objects are the client's types", () => {
  const head: AnswerHead = { id: "chatcmpl-1", created: 1, model: "m" };

  const toolCalls = [{ id: "call_1", name: "f", arguments: "{}" }];
  const chosen = { text: "a", bytes: [97], logprob: -1 };
  const logprobs = [{ type: "logprobs", chosen, top: [chosen] }] as const;
  const ids = { promptTokenIds: [1], tokenIds: [2] };
  const answer = { content: "a", reasoning: "b", toolCalls, finishReason: "stop", usage, logprobs, ...ids } as const;

  const completion: OpenAI.ChatCompletion = toChatCompletion(head, [answer]);
  const chunk: OpenAI.ChatCompletionChunk = new ChatStream(head, 1, true).toChunks(finished)[0]!;
  const usageChunk: OpenAI.ChatCompletionChunk = toUsageChunk(head, usage);

  expect([completion.object, chunk.object, usageChunk.object]).toEqual([
    "chat.completion",
    "chat.completion.chunk",
    "chat.completion.chunk",
  ]);
});

test("create returns the answer and the request id", async () => {
  const { client } = makeClient(helloEvents);

  const completion = await client.chat.completions.create({ model: "ernie", messages });

  expect(completion.choices[0]?.message.content).toBe("Hello.");
  expect(completion.usage?.total_tokens).toBe(15);
  expect(completion._request_id).toMatch(/^req_/);
});

test("pictures as the client sends them arrive as bytes", async () => {
  const { client, calls } = makeClient(helloEvents);

  await client.chat.completions.create({
    model: "ernie",
    messages: [
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: `data:image/png;base64,${pngBase64}` } },
          { type: "text", text: "What is it?" },
        ],
      },
    ],
  });

  expect(calls[0]?.chat.messages[0]?.content[0]).toMatchObject({ type: "image", bytes: Buffer.from(pngBase64, "base64") });
});

test("a stream gives the texts in order and the usage at the end", async () => {
  const { client } = makeClient(helloEvents);

  const stream = await client.chat.completions.create({ model: "ernie", messages, stream: true, stream_options: { include_usage: true } });
  const texts: string[] = [];
  let total: number | undefined;
  for await (const chunk of stream) {
    texts.push(chunk.choices[0]?.delta.content ?? "");
    total = chunk.usage?.total_tokens;
  }

  expect(texts).toEqual(["", "Hel", "lo.", "", ""]);
  expect(total).toBe(15);
});

test("the client's accumulator puts the stream together to the whole answer", async () => {
  const whole = await makeClient(thinkingEvents).client.chat.completions.create({ model: "ernie", messages });

  const runner = makeClient(thinkingEvents).client.chat.completions.stream({
    model: "ernie",
    messages,
    stream_options: { include_usage: true },
  });
  const accumulated = await runner.finalChatCompletion();

  const { content, role } = whole.choices[0]!.message;
  expect(accumulated.choices[0]).toMatchObject({ finish_reason: "stop", message: { content, role } });
  expect(accumulated.usage).toEqual(whole.usage);
});

test("several answers are told apart, whole and streamed", async () => {
  const end = { type: "finished", reason: "stop", usage: { ...usage, reasoningTokens: 1 } } as const;
  const events: readonly ChatEvent[] = [
    started,
    { type: "content", text: "one", choice: 0 },
    { type: "content", text: "t", choice: 1 },
    { ...end, choice: 0 },
    { type: "content", text: "wo", choice: 1 },
    { ...end, choice: 1 },
  ];
  const request = { model: "ernie", messages, n: 2 };
  const whole = await makeClient(events).client.chat.completions.create(request);
  const streamed = await makeClient(events)
    .client.chat.completions.stream({ ...request, stream_options: { include_usage: true } })
    .finalChatCompletion();

  for (const { choices, usage: used } of [whole, streamed]) {
    expect(choices.map(({ index, message, finish_reason: reason }) => [index, message.content, reason])).toEqual([
      [0, "one", "stop"],
      [1, "two", "stop"],
    ]);
    const usageOfBoth = { prompt_tokens: 12, completion_tokens: 6, total_tokens: 18, completion_tokens_details: { reasoning_tokens: 2 } };
    expect(used).toMatchObject(usageOfBoth);
  }
});

test("leaving the loop aborts the request", async () => {
  const { client, calls } = makeClient(async function* hello({ signal }) {
    yield started;
    yield { type: "content", text: "Hel" };
    await untilAborted(signal);
  });

  const stream = await client.chat.completions.create({ model: "ernie", messages, stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === "Hel") break;

  await expect.poll(() => calls[0]?.signal.aborted).toBe(true);
});

describe("the client's error classes", () => {
  test.each([
    ["a wrong field", [], { temperature: 5 }, BadRequestError],
    ["an unknown model", [], { model: "gpt-9" }, NotFoundError],
    ["a prompt that is too long", [new RequestError("too long", { code: "context_length_exceeded" })], {}, BadRequestError],
  ])("%s", async (_, script, fields, expected) => {
    for (const stream of [false, true]) {
      const { client, requestCount } = makeClient(script);

      const error: unknown = await client.chat.completions.create({ model: "ernie", messages, stream, ...fields }).catch((e: unknown) => e);

      expect(error).toBeInstanceOf(expected);
      expect(error).toMatchObject({ type: "invalid_request_error", requestID: expect.stringMatching(/^req_/) });
      expect(requestCount()).toBe(1);
    }
  });

  test("a wrong key", async () => {
    const { client } = makeClient([], { apiKeys: ["other"] });

    await expect(client.models.list()).rejects.toBeInstanceOf(AuthenticationError);
  });

  test("a failure of the server is not retried", async () => {
    const { client, requestCount } = makeClient([new EngineError("boom")]);

    await expect(client.chat.completions.create({ model: "ernie", messages })).rejects.toBeInstanceOf(InternalServerError);
    expect(requestCount()).toBe(1);
  });

  test("a full queue is tried again after the time the server names", async () => {
    let attemptCount = 0;
    const { client } = makeClient(async function* fullOnce() {
      attemptCount++;
      if (attemptCount === 1) throw new RequestError("full", { status: 429, code: "queue_full", retryAfterMs: 1 });
      yield* helloEvents;
    });

    const completion = await client.chat.completions.create({ model: "ernie", messages });

    expect(completion.choices[0]?.message.content).toBe("Hello.");
    expect(attemptCount).toBe(2);
  });

  test("a failure in mid-stream", async () => {
    const { client } = makeClient([started, { type: "content", text: "Hel" }, new EngineError("boom")]);
    const stream = await client.chat.completions.create({ model: "ernie", messages, stream: true });

    const read = async () => {
      for await (const chunk of stream) expect(chunk.choices).toHaveLength(1);
    };

    await expect(read()).rejects.toMatchObject({ constructor: APIError, code: "internal_error" });
  });
});

test("models are listed and found", async () => {
  const { client } = makeClient([], { modelId: "baidu/ernie" });

  const models = await client.models.list();
  const model = await client.models.retrieve("baidu/ernie");

  expect(models.data.map((entry) => entry.id)).toEqual(["baidu/ernie"]);
  expect(model.id).toBe("baidu/ernie");
});
