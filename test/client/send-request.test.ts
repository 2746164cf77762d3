import { describe, expect, onTestFinished, test } from "vitest";
import { Connection } from "../../src/client/connection.ts";
import { sendRequest } from "../../src/client/send-request.ts";
import { answerWell, type Behaviour, beginStream, frame, json, startFakeServer } from "./fake-server.ts";

const body = JSON.stringify({ messages: [{ role: "user", content: "one two" }], stream: true, max_tokens: 3 });
const token = { choices: [{ delta: { content: "a" }, finish_reason: null }] };

async function send(behaviour: Behaviour, { timeoutMs = 60_000, signal = new AbortController().signal } = {}) {
  const server = await startFakeServer(behaviour);
  const connection = new Connection(server.url, undefined);
  onTestFinished(() => connection.close());
  return sendRequest(connection, body, { path: "/v1/chat/completions", timeoutMs, signal });
}

describe("a request", () => {
  test("is measured and counted by the server's usage", async () => {
    const measured = await send(answerWell());

    expect(measured).toMatchObject({ promptTokens: 2, outputTokens: 3, tokensFrom: "usage", finishReason: "length" });
    expect(measured.failure).toBeUndefined();
    expect(measured.gapsMs).toHaveLength(2);
    expect(measured.ttftMs).toBeLessThanOrEqual(measured.e2elMs);
  });
});

describe("a server that misbehaves", () => {
  const cases: readonly [name: string, behaviour: Behaviour, kind: string, message: string][] = [
    [
      "fails",
      (response) => json(response, 500, { error: { message: "boom", type: "server_error", code: null } }),
      "HTTP 500 server_error",
      "boom",
    ],
    [
      "has no room",
      (response) => json(response, 429, { error: { message: "queue is full", code: "overloaded" } }, { "retry-after": "1" }),
      "HTTP 429 overloaded",
      "queue is full",
    ],
    ["answers as FastAPI does", (response) => json(response, 422, { detail: "no field messages" }), "HTTP 422", "no field messages"],
    ["sits behind a proxy", (response) => void response.writeHead(502).end("<html>Bad Gateway</html>"), "HTTP 502", "Bad Gateway"],
    [
      "closes the connection in the stream",
      (response) => {
        beginStream(response);
        frame(response, token);
        setTimeout(() => response.destroy(), 20);
      },
      "broken stream",
      "before the answer was complete",
    ],
    [
      "ends the stream without a reason",
      (response) => {
        beginStream(response);
        frame(response, token);
        response.end();
      },
      "broken stream",
      "without saying why",
    ],
    [
      "sends an error in the stream",
      (response) => {
        beginStream(response);
        frame(response, token);
        frame(response, { error: { message: "a step failed", code: "engine_error" } });
        response.end();
      },
      "error in stream engine_error",
      "a step failed",
    ],
    [
      "offers another protocol",
      (response) => void response.socket!.end("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
      "connection",
      "without an answer",
    ],
    [
      "redirects",
      (response) => void response.writeHead(301, { location: "https://other.example/v1/chat/completions" }).end(),
      "connection",
      "redirects to https://other.example/v1/chat/completions, which is not followed",
    ],
    ["closes the connection at once", (response) => void response.destroy(), "broken stream", "closed the connection"],
  ];

  test.each(cases)("that %s", async (_name, behaviour, kind, message) => {
    const { failure } = await send(behaviour);

    expect(failure?.kind).toBe(kind);
    expect(failure?.message).toContain(message);
  });

  test.each<[string, Behaviour]>([
    ["never answers", () => {}],
    [
      "goes silent in the stream",
      (response) => {
        beginStream(response);
        frame(response, token);
      },
    ],
  ])("that %s runs into the timeout", async (_name, behaviour) => {
    const { failure, e2elMs } = await send(behaviour, { timeoutMs: 100 });

    expect(failure).toEqual({ kind: "timeout", message: "no complete answer within 100 ms" });
    expect(e2elMs).toBeGreaterThanOrEqual(99);
  });

  test("is left when the user stops", async () => {
    const controller = new AbortController();

    const { failure } = await send(() => controller.abort(), { signal: controller.signal });

    expect(failure?.kind).toBe("interrupted");
  });
});

describe("a connection", () => {
  test("that is refused has the name of its error", async () => {
    const connection = new Connection("http://127.0.0.1:1", undefined);

    const { failure } = await sendRequest(connection, body, { path: "/", timeoutMs: 60_000, signal: new AbortController().signal });

    expect(failure?.kind).toBe("ECONNREFUSED");
  });

  test("takes addresses with and without /v1, and sends the key", async () => {
    const server = await startFakeServer(answerWell(), { key: "secret" });
    for (const url of [server.url, `${server.url}/`, `${server.url}/v1`, `${server.url}/v1/`]) {
      const connection = new Connection(url, "secret");
      onTestFinished(() => connection.close());

      expect(connection.baseUrl).toBe(server.url);
      expect(await connection.json("GET", "/v1/models", undefined, { timeoutMs: 60_000 })).toMatchObject({ status: 200 });
    }
  });

  test("sends the credentials of an address, and does not show them", async () => {
    const server = await startFakeServer(answerWell());
    const connection = new Connection(server.url.replace("http://", "HTTP://me:secret@"), undefined);
    onTestFinished(() => connection.close());

    await sendRequest(connection, body, { path: "/v1/chat/completions", timeoutMs: 60_000, signal: new AbortController().signal });

    expect(server.asked.map(({ key }) => key)).toEqual([`Basic ${btoa("me:secret")}`]);
    expect(connection.baseUrl).toBe(server.url);
  });

  test.each(["localhost:8000", "ftp://host", "nonsense", "http://host/?v=1"])("to %s is refused", (url) => {
    expect(() => new Connection(url, undefined)).toThrow("expected an address such as http://localhost:8000");
  });
});
