import { once } from "node:events";
import { connect, type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createHttpServer } from "../../src/cli/http-server.ts";
import { chatPath, makeApp } from "../api/make-app.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const quick = { headersMs: 100, requestMs: 200, idleMs: 100, stalledMs: 150, checkMs: 20 };

/** A connection to the app, and all it has said when it ends. */
async function connectTo(fetch: (request: Request) => Response | Promise<Response>, timeouts?: typeof quick) {
  const server = createHttpServer(fetch, timeouts);
  server.listen(0, "127.0.0.1");
  closers.push(() => server.close());
  await once(server, "listening");
  const socket: Socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  closers.push(() => socket.destroy());
  let said = "";
  socket.setEncoding("utf8").on("data", (text: string) => (said += text));
  const ended = once(socket, "close").then(() => said);
  return { socket, ended };
}

const head = `POST ${chatPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`;

describe("a client that stops half-way is told and cut off:", () => {
  test.each([
    ["within its headers", head],
    ["within its body", `${head}content-length: 100\r\n\r\n{"messages"`],
    ["between two chunks", `${head}transfer-encoding: chunked\r\n\r\n5\r\n{"mes\r\n`],
    ["before its first byte", ""],
  ])("%s", async (_, sent) => {
    const { app, calls } = makeApp();
    const { socket, ended } = await connectTo(app.fetch, quick);

    socket.write(sent);

    expect(await ended).toMatch(/^HTTP\/1.1 408 /);
    expect(calls).toEqual([]);
  });
});

test("an idle connection is closed after its answer", async () => {
  const { socket, ended } = await connectTo(makeApp().app.fetch, quick);

  socket.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");

  expect(await ended).toMatch(/^HTTP\/1.1 200 /);
});

test("an answer may take longer than any of these limits", async () => {
  const slow = () => new Promise<Response>((resolve) => setTimeout(() => resolve(new Response("late")), 500));
  const { socket, ended } = await connectTo(slow, quick);

  socket.write("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");

  expect(await ended).toMatch(/^HTTP\/1.1 200 [^]*late/);
});

describe("a client that takes nothing of its answer", () => {
  const endless = (onCancel: () => void) => (): Response => {
    const chunk = new Uint8Array(65_536);
    return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(chunk), cancel: onCancel }));
  };

  test("is cut off, and its request aborted", async () => {
    let isCancelled = false;
    const { socket } = await connectTo(
      endless(() => (isCancelled = true)),
      quick,
    );
    socket.on("error", () => {});
    socket.pause();

    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");

    await expect.poll(() => isCancelled, { timeout: 5000 }).toBe(true);
  });

  test("keeps its connection when it only is slow", async () => {
    let isCancelled = false;
    const { socket } = await connectTo(
      endless(() => (isCancelled = true)),
      quick,
    );
    let taken = 0;
    socket.on("data", (text: string) => {
      taken += text.length;
      socket.pause();
      setTimeout(() => socket.resume(), 5);
    });

    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");

    await expect.poll(() => taken, { timeout: 20_000 }).toBeGreaterThan(20_000_000);
    expect(isCancelled).toBe(false);
  });
});

test("a header over 16 KiB is a 431, and takes no memory", async () => {
  const { socket, ended } = await connectTo(makeApp().app.fetch);
  socket.on("error", () => {});

  socket.write(`${head}x-long: ${"x".repeat(17_000)}\r\n`);

  expect(await ended).toMatch(/^HTTP\/1.1 431 /);
});
