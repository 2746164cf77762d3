// HTTP as nobody should send it: odd headers, lengths that lie, paths that climb, unknown routes and methods. Always the right envelope.

import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorEnvelope } from "../../src/api/openapi/answer-schemas.ts";
import { messagesErrorSchema } from "../../src/api/messages/message-schema.ts";
import { createHttpServer } from "../../src/cli/http-server.ts";
import { chatPath, makeApp, post, userSays } from "./make-app.ts";

const { app } = makeApp();
const server = createHttpServer(app.fetch);
let port = 0;
beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => void server.close());

/** The envelope that the path asks for. */
function envelopeOf(path: string) {
  return /^\/v1\/messages(\/|$)/.test(path) ? messagesErrorSchema : errorEnvelope;
}

describe("unknown routes and wrong methods", () => {
  const paths = ["/", "/nowhere", "/v1", "/v1/", "/v1/messages/x/y", "/v1/responses/a/b/c", "//v1/models", "/V1/models", "/%00", "/%ff"];

  test.each(paths)("%s is a 404 in the envelope of its family", async (path) => {
    const answer = await app.request(new Request(`http://x${path}`));

    expect(answer.status).toBe(404);
    envelopeOf(path).parse(await answer.json());
  });

  const known = [
    chatPath,
    "/v1/completions",
    "/v1/responses",
    "/v1/responses/x",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/models",
    "/tokenize",
  ];
  test.each(known.flatMap((path) => ["PUT", "PATCH", "OPTIONS", "PROPFIND"].map((method) => ({ method, path }))))(
    "$method $path is a 405 in the envelope of its family, without CORS",
    async ({ method, path }) => {
      const headers = { origin: "https://evil.example", "access-control-request-method": "POST" };
      const answer = await app.request(path, { method, headers });

      expect(answer.status).toBe(405);
      expect(answer.headers.get("allow")).toMatch(/^(GET|POST)/);
      expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      envelopeOf(path).parse(await answer.json());
    },
  );

  test.each(["/v1/models", "/docs", "/openapi.json", "/health"])("HEAD %s is a GET without its body", async (path) => {
    const answer = await app.request(path, { method: "HEAD" });

    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe("");
  });
});

test("any headers are answered or refused, never a failure", async () => {
  const name = fc.constantFrom(
    "accept",
    "content-type",
    "content-encoding",
    "content-length",
    "authorization",
    "x-api-key",
    "x-request-id",
    "traceparent",
    "anthropic-version",
    "accept-encoding",
    "range",
    "if-none-match",
    "x-forwarded-for",
    "origin",
    "cookie",
  );
  const value = fc.oneof(
    fc.constantFrom(
      "gzip",
      "-1",
      "1e999",
      "0",
      "application/json",
      "application/json; charset=utf-16",
      "text/plain",
      "multipart/form-data",
      "*/*;q=2",
      "Bearer ",
      "bytes=0-",
      ",,,",
    ),
    fc.stringMatching(/^[\x20-\x7e\xa0-\xff]{0,40}$/).map((text) => text.trim()),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(name, value, { maxKeys: 4 }),
      fc.constantFrom(chatPath, "/v1/messages", "/v1/responses", "/tokenize"),
      async (headers, path) => {
        const answer = await app.request(path, post(userSays("Hi", { max_tokens: 5, input: "Hi" }), headers));

        expect([200, 400, 413]).toContain(answer.status);
        const body: unknown = await answer.json();
        const isAnthropic = path === "/v1/messages" || headers["anthropic-version"] !== undefined;
        if (answer.status !== 200) (isAnthropic ? messagesErrorSchema : errorEnvelope).parse(body);
      },
    ),
    { numRuns: 1000 },
  );
});

/** Sends bytes as they are, and returns the answer. */
async function sendRaw(text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(text);
  let answer = "";
  const isWhole = () => {
    const [head, body] = answer.split("\r\n\r\n");
    return body?.length === Number(/^content-length: (\d+)/im.exec(head!)?.[1]);
  };
  for await (const bytes of socket) {
    answer += String(bytes);
    if (isWhole()) break;
  }
  return answer;
}

describe("on a socket", () => {
  const body = JSON.stringify(userSays("Hi"));
  const head = `POST ${chatPath} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;

  test.each([
    ["a header beyond 16 KiB", `${head}x-long: ${"a".repeat(17_000)}\r\n\r\n`, 431],
    ["a length that is no number", `${head}content-length: x\r\n\r\n${body}`, 400],
    ["a length and chunks", `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ["two lengths that differ", `${head}content-length: 5\r\ncontent-length: 6\r\n\r\n${body}`, 400],
    ["a body shorter than its JSON", `${head}content-length: ${body.length - 3}\r\n\r\n${body}`, 400],
    ["a compressed body, which is not opened", `${head}content-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x0b\x08\x00`, 400],
    ["a load balancer's probe, in HTTP/1.0 and to no host", "GET /health HTTP/1.0\r\n\r\n", 200],
    ["two content types", `${head}content-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n${body}`, 400],
    ["a path that climbs", "GET /assets/../../../../etc/passwd HTTP/1.1\r\nhost: localhost\r\n\r\n", 404],
    ["a path that climbs, escaped", "GET /assets/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nhost: localhost\r\n\r\n", 404],
    ["no method", "\x00\x01\x02 / HTTP/1.1\r\n\r\n", 400],
  ])("%s", async (_, text, status) => {
    const [head, json] = (await sendRaw(text)).split("\r\n\r\n");

    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    if (status !== 200) errorEnvelope.parse(JSON.parse(json!));
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  });

  test.each([
    ["no Host", "GET /v1/models HTTP/1.1\r\n\r\n"],
    ["a Host with a blank", "GET /v1/models HTTP/1.1\r\nhost: a b\r\n\r\n"],
    ["a Host with a path", "GET /v1/models HTTP/1.1\r\nhost: localhost/x\r\n\r\n"],
    ["a Host with a port that is no number", "GET /v1/models HTTP/1.1\r\nhost: localhost:x\r\n\r\n"],
    ["a backslash in the path", "GET /v1\\models HTTP/1.1\r\nhost: localhost\r\n\r\n"],
  ])("%s is a 400 in the envelope", async (_, text) => {
    const [head, json] = (await sendRaw(text)).split("\r\n\r\n");

    expect(head).toMatch(/^HTTP\/1.1 400 /);
    expect(errorEnvelope.parse(JSON.parse(json!)).error.message).toMatch(/Host header/);
  });
});
