// What depends on a real socket: uploads that are refused half-way, and clients that hang up.

import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { afterEach, expect, test } from "vitest";
import { chatPath, makeApp, post, started, untilAborted, userSays } from "./make-app.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function listen(...args: Parameters<typeof makeApp>) {
  const made = makeApp(...args);
  const server = serve({ fetch: made.app.fetch, port: 0, hostname: "127.0.0.1" });
  closers.push(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  return { ...made, port, origin, url: origin + chatPath };
}

test("an endless chunked upload is cut at the limit, with an answer", async () => {
  const { port } = await listen([], { limits: { bodyBytes: 1000 } });
  let answer = "";
  const socket = connect(port, "127.0.0.1").setEncoding("utf8");
  socket.on("error", () => undefined).on("data", (text: string) => (answer += text));
  socket.write(`POST ${chatPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`);
  for (let i = 0; i < 5; i++) socket.write(`1f4\r\n${"x".repeat(500)}\r\n`);

  await expect.poll(() => answer).toContain("request_too_large");
  expect(answer).toMatch(/^HTTP\/1.1 413 /);
  socket.destroy();
});

test.each([false, true])("a client that hangs up aborts its request, stream: %s", async (stream) => {
  const { url, calls, lines } = await listen(async function* silence({ signal }) {
    yield started;
    await untilAborted(signal);
  });
  const client = new AbortController();
  const answer = fetch(url, { ...post(userSays("Hi", { stream })), signal: client.signal }).then((response) => response.text());
  await expect.poll(() => calls.length).toBe(1);

  client.abort();

  await expect(answer).rejects.toThrow();
  await expect.poll(() => calls[0]?.signal.aborted).toBe(true);
  await expect.poll(() => lines).toEqual([expect.objectContaining({ fields: expect.objectContaining({ status: 499 }) })]);
});

test.each(["/tokenize", "/v1/messages/count_tokens"])("a client of %s that hangs up ends the counting", async (path) => {
  const signals: AbortSignal[] = [];
  const { origin, lines } = await listen([], {}, async (signal) => {
    signals.push(signal);
    await untilAborted(signal);
  });
  const client = new AbortController();
  const answer = fetch(origin + path, { ...post(userSays("Hi")), signal: client.signal });
  await expect.poll(() => signals.length).toBe(1);

  client.abort();

  await expect(answer).rejects.toThrow();
  await expect.poll(() => lines).toEqual([expect.objectContaining({ level: "info", fields: expect.objectContaining({ status: 499 }) })]);
});

test("a client that hangs up while it uploads has left, and nothing has failed", async () => {
  const { port, lines } = await listen([]);
  const socket = connect(port, "127.0.0.1");
  socket.write(`POST ${chatPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"messages"`, () =>
    setImmediate(() => socket.destroy()),
  );

  await expect.poll(() => lines.length).toBe(1);

  expect(lines[0]).toMatchObject({ level: "info", fields: { status: 499 } });
  expect(lines[0]!.fields).not.toHaveProperty("errorCode");
});
