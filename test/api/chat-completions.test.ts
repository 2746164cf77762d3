import { describe, expect, test } from "vitest";
import { EngineError, RequestError } from "../../src/core/errors.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import {
  type Call,
  chatPath,
  finished,
  frames,
  helloEvents,
  makeApp,
  post,
  started,
  thinkingEvents,
  untilAborted,
  usage,
  userSays,
} from "./make-app.ts";

const usageObject = {
  prompt_tokens: 12,
  completion_tokens: 3,
  total_tokens: 15,
  prompt_tokens_details: { cached_tokens: 4, image_tokens: 5, text_tokens: 7 },
  completion_tokens_details: { reasoning_tokens: 0 },
};

async function streamed(script: Parameters<typeof makeApp>[0], fields: object = {}) {
  const { app, lines } = makeApp(script);
  const response = await app.request(chatPath, post(userSays("Hi", { stream: true, ...fields })));
  return { response, frames: frames(await response.text()), lines };
}

describe("a whole answer", () => {
  test("is a complete chat completion object", async () => {
    const { app } = makeApp(helloEvents);

    const response = await app.request(chatPath, post(userSays("Hi")));

    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
      object: "chat.completion",
      created: expect.any(Number),
      model: "ernie",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hello.", refusal: null, annotations: [] },
          finish_reason: "stop",
          logprobs: null,
        },
      ],
      usage: usageObject,
    });
  });

  test("carries the thinking under both names", async () => {
    const { app } = makeApp(thinkingEvents);

    const body = await (await app.request(chatPath, post(userSays("2+2?")))).json();

    expect(body).toMatchObject({
      choices: [{ message: { content: "Four.", reasoning_content: "Let me see.", reasoning: "Let me see." } }],
      usage: { completion_tokens_details: { reasoning_tokens: 6 } },
    });
  });

  test("cut by the token limit says so", async () => {
    const { app } = makeApp([started, { type: "finished", reason: "length", usage }]);

    const body = await (await app.request(chatPath, post(userSays("Hi")))).json();

    expect(body).toMatchObject({ choices: [{ message: { content: "" }, finish_reason: "length" }] });
  });

  test("of which a part has no end is a failure of the server", async () => {
    const { app } = makeApp([started, { type: "finished", choice: 0, reason: "stop", usage }]);

    expect((await app.request(chatPath, post(userSays("Hi", { n: 2 })))).status).toBe(500);
  });
});

describe("a stream", () => {
  test("is role, text, finish reason and [DONE], all with one id", async () => {
    const result = await streamed(helloEvents);

    expect(result.response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(result.frames.at(-1)).toBe("[DONE]");
    const chunks = result.frames.slice(0, -1).map((frame) => JSON.parse(frame) as Record<string, unknown>);
    expect(chunks.map((chunk) => chunk.choices)).toEqual(
      [
        { delta: { role: "assistant", content: "" }, finish_reason: null },
        { delta: { content: "Hel" }, finish_reason: null },
        { delta: { content: "lo." }, finish_reason: null },
        { delta: {}, finish_reason: "stop" },
      ].map((choice) => [{ index: 0, logprobs: null, ...choice }]),
    );
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({ id: chunks[0]?.id, created: chunks[0]?.created, model: "ernie", object: "chat.completion.chunk" });
      expect(chunk).not.toHaveProperty("usage");
    }
  });

  test("carries the thinking under both names", async () => {
    const result = await streamed(thinkingEvents);

    const deltas = result.frames.slice(1, 4).map((frame) => (JSON.parse(frame) as { choices: { delta: object }[] }).choices[0]?.delta);
    expect(deltas).toEqual([
      { reasoning_content: "Let me ", reasoning: "Let me " },
      { reasoning_content: "see.", reasoning: "see." },
      { content: "Four." },
    ]);
  });

  test("has the log-probabilities of all tokens that make up a text, in its chunk", async () => {
    const tokens = [0xc3, 0xa9].map((byte): ChatEvent => ({ type: "logprobs", chosen: { text: "", bytes: [byte], logprob: -1 }, top: [] }));
    const result = await streamed([started, ...tokens, { type: "content", text: "é" }, finished], { logprobs: true });

    const choices = result.frames.slice(1, 3).map((frame) => (JSON.parse(frame) as { choices: object[] }).choices[0]);
    expect(choices).toMatchObject([
      { delta: { content: "é" }, logprobs: { content: [{ bytes: [0xc3] }, { bytes: [0xa9] }] } },
      { finish_reason: "stop", logprobs: null },
    ]);
  });

  test("begins with its first token: benchmarks take the time of the first chunk for its", async () => {
    const happened: string[] = [];
    let openGate = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      openGate = resolve;
    });
    const { app } = makeApp(async function* () {
      yield started;
      await gate;
      happened.push("token");
      yield* helloEvents.slice(1);
    });

    const response = await app.request(chatPath, post(userSays("Hi", { stream: true })));
    const first = response.body!.getReader().read();
    void first.then(() => happened.push("chunk"));
    await new Promise((resolve) => setImmediate(resolve)); // a chunk that waits for nothing is read by now
    openGate();
    const { value } = await first;

    expect(happened).toEqual(["token", "chunk"]);
    expect(new TextDecoder().decode(value)).toContain('"role":"assistant"');
  });

  test("with include_usage ends with the usage, null until then", async () => {
    const result = await streamed(helloEvents, { stream_options: { include_usage: true } });

    const chunks = result.frames.slice(0, -1).map((frame) => JSON.parse(frame) as Record<string, unknown>);
    expect(chunks.map((chunk) => chunk.usage)).toEqual([null, null, null, null, usageObject]);
    expect(chunks.at(-1)?.choices).toEqual([]);
  });

  test("that fails in the middle ends with an error object and without [DONE]", async () => {
    const result = await streamed([started, { type: "content", text: "Hel" }, new EngineError("step 7: secret pointer 0xdead")]);

    expect(result.response.status).toBe(200);
    expect(JSON.parse(result.frames.at(-1) ?? "")).toEqual({
      error: { message: expect.stringContaining("x-request-id"), type: "server_error", param: null, code: "internal_error" },
    });
    expect(result.frames).toHaveLength(3);
    expect(result.frames.join()).not.toContain("secret");
    expect(result.lines.map((line) => line.level)).toEqual(["error", "info"]);
  });

  test("that stops without a finish event ends with an error object", async () => {
    const result = await streamed([started, { type: "content", text: "Hel" }]);

    expect(JSON.parse(result.frames.at(-1) ?? "")).toHaveProperty("error");
  });
});

describe("an error before the first event has its own status", () => {
  const errors: [name: string, error: Error, status: number, expected: object][] = [
    [
      "a prompt that is too long",
      new RequestError("prompt has 9 tokens, the limit is 8", { code: "context_length_exceeded", param: "messages" }),
      400,
      { type: "invalid_request_error", code: "context_length_exceeded", param: "messages", message: "prompt has 9 tokens, the limit is 8" },
    ],
    [
      "a full queue",
      new RequestError("queue full", { status: 429, code: "queue_full", retryAfterMs: 1500 }),
      429,
      { type: "rate_limit_error", code: "queue_full" },
    ],
    ["a shutdown", new RequestError("leaving", { status: 503, code: "not_ready" }), 503, { type: "server_error" }],
    ["a failure of the server", new EngineError("0xdead"), 500, { type: "server_error", code: "internal_error", param: null }],
  ];

  for (const stream of [false, true]) {
    test.each(errors)(`%s, stream: ${stream}`, async (_, error, status, expected) => {
      const { app } = makeApp([error]);

      const response = await app.request(chatPath, post(userSays("Hi", { stream })));

      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toContain("application/json");
      expect(await response.json()).toMatchObject({ error: expected });
    });
  }

  test("headers steer the retries of clients", async () => {
    const full = await makeApp([errors[1]![1]]).app.request(chatPath, post(userSays("Hi")));
    const failed = await makeApp([errors[3]![1]]).app.request(chatPath, post(userSays("Hi")));

    expect(full.headers.get("retry-after-ms")).toBe("1500");
    expect(full.headers.get("retry-after")).toBe("2");
    expect(full.headers.get("x-should-retry")).toBeNull();
    expect(failed.headers.get("x-should-retry")).toBe("false");
  });

  test("details of a failure go to the log, not to the client", async () => {
    const { app, lines } = makeApp([new EngineError("pointer 0xdead")]);

    const response = await app.request(chatPath, post(userSays("Hi")));

    expect(await response.text()).not.toContain("0xdead");
    expect(lines[0]).toMatchObject({ level: "error", fields: { id: response.headers.get("x-request-id"), err: expect.any(EngineError) } });
  });
});

test("a server that is not ready answers 503 and asks to come back", async () => {
  const { app, calls } = makeApp(helloEvents, { isReady: () => false });

  const response = await app.request(chatPath, post(userSays("Hi")));

  expect(response.status).toBe(503);
  expect(response.headers.get("retry-after-ms")).toBe("1000");
  expect(calls).toEqual([]);
});

describe("a client that leaves", () => {
  async function* helloThenSilence({ signal }: Call): AsyncGenerator<ChatEvent> {
    yield started;
    yield { type: "content", text: "Hel" };
    await untilAborted(signal);
  }

  test("in mid-stream aborts the request", async () => {
    const { app, calls, lines } = makeApp(helloThenSilence);
    const response = await app.request(chatPath, post(userSays("Hi", { stream: true })));
    const reader = response.body!.getReader();
    await reader.read();

    await reader.cancel();

    expect(calls[0]?.signal.aborted).toBe(true);
    expect(lines).toEqual([expect.objectContaining({ level: "info", fields: expect.objectContaining({ status: 499 }) })]);
  });

  test("at once, without reading anything, aborts the request", async () => {
    const { app, calls, lines } = makeApp(helloThenSilence);
    const response = await app.request(chatPath, post(userSays("Hi", { stream: true })));

    await response.body!.cancel();

    expect(calls[0]?.signal.aborted).toBe(true);
    expect(lines).toHaveLength(1);
  });

  test.each([false, true])("before the first event aborts the request, stream: %s", async (stream) => {
    const client = new AbortController();
    const { app, calls, lines } = makeApp(async function* silence({ signal }) {
      client.abort();
      await untilAborted(signal);
      yield started;
    });

    const request = new Request(`http://x${chatPath}`, { ...post(userSays("Hi", { stream })), signal: client.signal });
    const response = await app.request(request);

    expect(response.status).toBe(499);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(lines).toEqual([expect.objectContaining({ level: "info", fields: expect.objectContaining({ status: 499 }) })]);
  });

  test("before its request was read is not answered", async () => {
    const { app, calls } = makeApp(helloThenSilence);
    const signal = AbortSignal.abort();

    const response = await app.request(new Request(`http://x${chatPath}`, { ...post(userSays("Hi")), signal }));

    expect(response.status).toBe(499);
    expect(calls[0]?.signal.aborted ?? true).toBe(true);
  });

  test("is noticed through the request's signal in mid-stream, too", async () => {
    const client = new AbortController();
    const { app, calls, lines } = makeApp(helloThenSilence);
    const request = new Request(`http://x${chatPath}`, { ...post(userSays("Hi", { stream: true })), signal: client.signal });
    const response = await app.request(request);

    const text = response.text();
    client.abort();

    expect(frames(await text).join()).not.toContain("error");
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(lines).toHaveLength(1);
  });
});

test("the service is read no faster than the client reads", async () => {
  let produced = 0;
  const { app } = makeApp(async function* endless() {
    yield started;
    for (;;) {
      produced++;
      yield { type: "content", text: "x" };
    }
  });

  const response = await app.request(chatPath, post(userSays("Hi", { stream: true })));
  const reader = response.body!.getReader();
  for (let i = 0; i < 10; i++) await reader.read();
  await new Promise(setImmediate);

  expect(produced).toBeLessThan(20);
  await reader.cancel();
});
