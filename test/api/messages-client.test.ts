// Anthropic's own client against a server on a port: its types, its accumulator and its error classes are the judges.

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import Anthropic, {
  APIError,
  AuthenticationError,
  BadRequestError,
  ContentTooLargeError,
  InternalServerError,
  NotFoundError,
  ServiceUnavailableError,
} from "@anthropic-ai/sdk";
import { serve } from "@hono/node-server";
import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { collectMessage } from "../../src/api/messages/collect-message.ts";
import type { Message, MessageEvent } from "../../src/api/messages/message.ts";
import { MessageWriter } from "../../src/api/messages/message-writer.ts";
import { toModelInfo } from "../../src/api/messages/model-info.ts";
import { EngineError, RequestError } from "../../src/core/errors.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import type { WithCitations } from "./sdk-types.ts";
import { helloEvents, makeApp, pngBase64, type Script, started, thinkingEvents, untilAborted, usage } from "./make-app.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function connect(script?: Script, options: Parameters<typeof makeApp>[1] = {}) {
  const made = makeApp(script, options);
  let requestCount = 0;
  const count = (request: Request) => {
    requestCount++;
    return made.app.fetch(request);
  };
  const server = serve({ fetch: count, port: 0, hostname: "127.0.0.1" });
  closers.push(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = new Anthropic({ baseURL: `http://127.0.0.1:${port}`, apiKey: "key", maxRetries: 1 });
  return { ...made, client, requestCount: () => requestCount };
}

const request = { model: "ernie", max_tokens: 100, messages: [{ role: "user" as const, content: "Hi" }] };
const weather = {
  name: "get_weather",
  input_schema: { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] },
};

const callEvents: readonly ChatEvent[] = [
  started,
  { type: "reasoning", text: "Two cities." },
  { type: "content", text: "Let me " },
  { type: "content", text: "see." },
  { type: "tool-call", name: "get_weather" },
  { type: "tool-arguments", text: '{"city": ' },
  { type: "tool-arguments", text: '"Rome"}' },
  { type: "tool-call", name: "get_weather" },
  { type: "tool-arguments", text: '{"city":"Oslo"}' },
  { type: "finished", reason: "tool_calls", usage: { ...usage, reasoningTokens: 2 } },
];

const content = {
  hello: [{ type: "text", text: "Hello." }],
  thinking: [
    { type: "thinking", thinking: "Let me see.", signature: expect.stringMatching(/./) },
    { type: "text", text: "Four." },
  ],
  calls: [
    { type: "thinking", thinking: "Two cities.", signature: expect.stringMatching(/./) },
    { type: "text", text: "Let me see." },
    {
      type: "tool_use",
      id: expect.stringMatching(/^toolu_[0-9a-f]{24}$/),
      name: "get_weather",
      input: { city: "Rome" },
      caller: { type: "direct" },
    },
    {
      type: "tool_use",
      id: expect.stringMatching(/^toolu_[0-9a-f]{24}$/),
      name: "get_weather",
      input: { city: "Oslo" },
      caller: { type: "direct" },
    },
  ],
};

test("our objects are the client's types", async () => {
  const writer = new MessageWriter({ id: "msg_1", model: "m", maxTokens: 9 });
  const message: Anthropic.Message = (await collectMessage(listed(callEvents), writer)) as WithCitations<Message>;
  const events: MessageEvent[] = [...new MessageWriter({ id: "msg_1", model: "m", maxTokens: 9 }).write(started)];
  const streamed: (Anthropic.RawMessageStreamEvent | { type: "ping" })[] = events as WithCitations<MessageEvent>[];
  const info: Anthropic.ModelInfo = toModelInfo("m", { modelId: "m", created: 0, contextLength: 9 });

  expect([message.type, streamed[0]?.type, info.type]).toEqual(["message", "message_start", "model"]);
});

describe.each([
  ["text", helloEvents, content.hello, "end_turn"],
  ["thinking", thinkingEvents, content.thinking, "end_turn"],
  ["calls", callEvents, content.calls, "tool_use"],
] as const)("an answer of %s", (_, events, expected, stopReason) => {
  test("is a whole message", async () => {
    const { client } = await connect(events);

    const message = await client.messages.create({ ...request, tools: [weather] });

    expect(message).toMatchObject({
      id: expect.stringMatching(/^msg_[0-9a-f]{32}$/),
      type: "message",
      role: "assistant",
      model: "ernie",
      stop_reason: stopReason,
      stop_sequence: null,
      _request_id: expect.stringMatching(/^req_/),
    });
    expect(message.content).toEqual(expected);
  });

  test("is put together by the client's accumulator as it is without streaming", async () => {
    const { client } = await connect(events);

    const whole = await client.messages.create({ ...request, tools: [weather] });
    const streamed = await client.messages.stream({ ...request, tools: [weather] }).finalMessage();

    expect(withoutIds(streamed)).toEqual(withoutIds(whole));
  });
});

test("usage tells tokens from the cache apart from other input, and thinking as part of the output", async () => {
  const { client } = await connect(callEvents);

  const { usage: used } = await client.messages.create(request);

  expect(used).toMatchObject({
    input_tokens: 8,
    cache_read_input_tokens: 4,
    cache_creation_input_tokens: 0,
    output_tokens: 3,
    output_tokens_details: { thinking_tokens: 2 },
  });
});

test("any cut of the engine's events gives the same final message, whole and streamed", async () => {
  const blocks = fc.array(
    fc.oneof(
      fc.record({ type: fc.constantFrom("reasoning" as const, "content" as const), text: fc.string({ minLength: 1 }) }),
      fc.record({
        type: fc.constant("call" as const),
        text: fc.oneof(
          fc.dictionary(fc.string(), fc.json()).map((o) => JSON.stringify(o)),
          fc.string(),
        ),
      }),
    ),
    { maxLength: 5 },
  );
  const end = fc.constantFrom("stop" as const, "tool_calls" as const, "length" as const);
  await fc.assert(
    fc.asyncProperty(blocks, end, fc.array(fc.nat(4), { minLength: 1 }), async (parts, reason, sizes) => {
      const finish: ChatEvent = { type: "finished", reason, usage };
      const whole = [started, ...parts.flatMap((part) => toEvents(part, [Infinity])), finish];
      const cut = [started, ...parts.flatMap((part) => toEvents(part, sizes)), finish];
      const expected = await collectMessage(listed(whole), new MessageWriter({ id: "msg", model: "m", maxTokens: 3 }));

      expect(withoutIds(await collectMessage(listed(cut), new MessageWriter({ id: "msg", model: "m", maxTokens: 3 })))).toEqual(
        withoutIds(expected),
      );
      const client = new Anthropic({
        baseURL: "http://x",
        apiKey: "key",
        fetch: async (url, init) => makeApp(cut).app.request(new Request(url as string, init)),
      });
      const streamed = await client.messages.stream({ ...request, max_tokens: 3 }).finalMessage();
      expect(withoutIds(streamed)).toEqual({ ...withoutIds(expected), model: "ernie" });
    }),
    { numRuns: 100 },
  );
});

type Part = { readonly type: "reasoning" | "content" | "call"; readonly text: string };

/** The text in pieces of the given sizes, again and again. */
function toEvents({ type, text }: Part, sizes: readonly number[]): ChatEvent[] {
  const pieces: string[] = [];
  for (let at = 0, turn = 0; at < text.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length]!);
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  if (type !== "call") return pieces.map((piece) => ({ type, text: piece }));
  return [{ type: "tool-call", name: "f" }, ...pieces.map((piece) => ({ type: "tool-arguments" as const, text: piece }))];
}

describe("what the client sends arrives", () => {
  test("a picture as bytes", async () => {
    const { client, calls } = await connect();
    const source = { type: "base64" as const, media_type: "image/png" as const, data: pngBase64 };

    await client.messages.create({ ...request, messages: [{ role: "user", content: [{ type: "image", source }] }] });

    expect(calls[0]?.chat.messages[0]?.content).toEqual([
      { type: "image", bytes: Buffer.from(pngBase64, "base64"), param: "messages[0].content[0].source.data" },
    ]);
  });

  test("an answer with calls and thinking, and their results, as the client got them", async () => {
    const { client, calls } = await connect(callEvents);
    const first = await client.messages.create({ ...request, tools: [weather] });
    const ids = first.content.flatMap((block) => (block.type === "tool_use" ? [block.id] : []));
    const results = ids.map((id, index) => ({ type: "tool_result" as const, tool_use_id: id, content: `${index}` }));

    await client.messages.create({
      ...request,
      tools: [weather],
      messages: [...request.messages, { role: "assistant", content: first.content }, { role: "user", content: results }],
    });

    expect(calls[1]?.chat.messages.slice(1)).toEqual([
      {
        role: "assistant",
        content: [{ type: "text", text: "Let me see." }],
        reasoning: "Two cities.",
        toolCalls: ["Rome", "Oslo"].map((city, index) => ({ id: ids[index], name: "get_weather", arguments: JSON.stringify({ city }) })),
      },
      ...ids.map((id, index) => ({ role: "tool", toolCallId: id, content: [{ type: "text", text: `${index}` }] })),
    ]);
  });
});

test("tokens are counted without an answer", async () => {
  const { client, chats, calls } = await connect();
  const { input_tokens: count } = await client.messages.countTokens({ model: "ernie", system: "Be brief.", messages: request.messages });

  expect(count).toBe(3);
  expect(chats[0]?.messages.map(({ role }) => role)).toEqual(["system", "user"]);
  expect(calls).toEqual([]);
});

test("models are listed and found", async () => {
  const { client } = await connect([], { modelId: "baidu/ernie" });
  const ids: string[] = [];
  for await (const model of client.models.list()) ids.push(model.id);

  expect(ids).toEqual(["baidu/ernie"]);
  expect(await client.models.retrieve("baidu/ernie")).toMatchObject({
    id: "baidu/ernie",
    type: "model",
    created_at: "2023-11-14T22:13:20.000Z",
    max_input_tokens: 4096,
  });
  await expect(client.models.retrieve("other")).rejects.toBeInstanceOf(NotFoundError);
});

describe("the client's error classes", () => {
  const tooLarge = { ...request, messages: [{ role: "user" as const, content: "x".repeat(2000) }] };
  test.each<[string, Script, object, unknown, string]>([
    ["a wrong field", [], { temperature: 5 }, BadRequestError, "invalid_request_error"],
    ["an unknown model", [], { model: "claude" }, NotFoundError, "not_found_error"],
    ["a body that is too large", [], tooLarge, ContentTooLargeError, "request_too_large"],
    ["a failure of the server", [new EngineError("0xdead")], {}, InternalServerError, "api_error"],
    ["a shutdown", [new RequestError("leaving", { status: 503 })], {}, ServiceUnavailableError, "overloaded_error"],
  ])("%s", async (_, script, fields, expected, type) => {
    for (const stream of [false, true]) {
      const { client } = await connect(script, { limits: { bodyBytes: 1000 } });

      const error: unknown = await client.messages.create({ ...request, stream, ...fields }).catch((e: unknown) => e);

      expect(error).toBeInstanceOf(expected);
      const { requestID } = error as APIError;
      expect(error).toMatchObject({ type, error: { type: "error", request_id: requestID } });
      expect(requestID).toMatch(/^req_/);
      expect((error as Error).message).not.toContain("0xdead");
    }
  });

  test("a wrong key, which the client sends as x-api-key or as a token", async () => {
    const { client } = await connect(helloEvents, { apiKeys: ["right"] });
    await expect(client.messages.create(request)).rejects.toBeInstanceOf(AuthenticationError);
    await expect(client.models.list()).rejects.toMatchObject({ type: "authentication_error" });

    for (const credentials of [{ apiKey: "right" }, { authToken: "right", apiKey: null }]) {
      const message = await client.withOptions(credentials).messages.create(request);
      expect(message.stop_reason).toBe("end_turn");
    }
  });

  test("a full queue is tried again after the time the server names", async () => {
    let attemptCount = 0;
    const { client, requestCount } = await connect(async function* fullOnce() {
      attemptCount++;
      if (attemptCount === 1) throw new RequestError("full", { status: 429, code: "queue_full", retryAfterMs: 1 });
      yield* helloEvents;
    });

    expect((await client.messages.create(request)).content).toEqual(content.hello);
    expect(requestCount()).toBe(2);
  });

  test("a failure of the server is not tried again", async () => {
    const { client, requestCount } = await connect([new EngineError("boom")]);

    await expect(client.messages.create(request)).rejects.toBeInstanceOf(InternalServerError);
    expect(requestCount()).toBe(1);
  });

  test("a failure in mid-stream", async () => {
    const { client } = await connect([started, { type: "content", text: "Hel" }, new EngineError("boom")]);

    await expect(client.messages.stream(request).finalMessage()).rejects.toMatchObject({
      constructor: APIError,
      type: "api_error",
      requestID: expect.stringMatching(/^req_/),
    });
  });
});

test.each([false, true])("a client that leaves aborts its request, stream: %s", async (stream) => {
  const { client, calls } = await connect(async function* silence({ signal }) {
    yield started;
    await untilAborted(signal);
  });
  const leaving = new AbortController();
  const answer = client.messages.create({ ...request, stream }, { signal: leaving.signal }).then(async (result) => {
    if (Symbol.asyncIterator in result) for await (const event of result) expect(event.type).toBe("message_start");
  });
  const settled = Promise.allSettled([answer]);
  await expect.poll(() => calls.length).toBe(1);

  leaving.abort();

  await settled;
  await expect.poll(() => calls[0]?.signal.aborted).toBe(true);
});

async function* listed(events: readonly ChatEvent[]): AsyncGenerator<ChatEvent> {
  yield* events;
}

/** As JSON, and without what the client adds: its request's id, and the answer as an object of the caller's. */
function withoutIds(message: object): object {
  return JSON.parse(JSON.stringify({ ...message, parsed_output: undefined }).replaceAll(/"(msg|toolu)_?[0-9a-f]*"/g, '"id"')) as object;
}
