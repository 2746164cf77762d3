import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { errorEnvelope } from "../../src/api/openapi/answer-schemas.ts";
import { createHttpServer } from "../../src/cli/http-server.ts";
import { closeWhenIdle } from "../../src/cli/listen.ts";
import { chatPath, makeApp } from "../api/make-app.ts";
import { listenLocally } from "../listen-locally.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A test shortens the limit that it is about: on a busy machine, a connection may exceed any other short one. */
const patient = { headersMs: 60_000, requestMs: 60_000, idleMs: 60_000, stalledMs: 60_000, checkMs: 20 };

/** A connection to the app, and all it has said when it ends. */
async function connectTo(fetch: (request: Request) => Response | Promise<Response>, timeouts?: typeof patient) {
  const server = createHttpServer(fetch, timeouts);
  closers.push(() => server.close());
  const { port } = new URL(await listenLocally(server));
  const socket: Socket = connect(Number(port), "127.0.0.1");
  closers.push(() => socket.destroy());
  let said = "";
  socket.setEncoding("utf8").on("data", (text: string) => (said += text));
  socket.on("error", () => {}); // a server that closes while bytes are on their way resets the connection
  const ended = new Promise<string>((resolve) => socket.once("close", () => resolve(said)));
  return { server, socket, ended };
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
    const { socket, ended } = await connectTo(app.fetch, { ...patient, headersMs: 100, requestMs: 200 });

    socket.write(sent);

    expectEnvelope(await ended, "408 Request Timeout", "request_too_slow");
    expect(calls).toEqual([]);
  });
});

describe("a server that closes", () => {
  test.each([
    ["before its first byte", ""],
    ["within its headers", head],
    ["between two requests", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"],
  ])("drops a connection %s", async (_, sent) => {
    const { server, socket, ended } = await connectTo(makeApp().app.fetch);
    if (sent.endsWith("\r\n\r\n")) {
      socket.write(sent);
      await once(socket, "data");
    } else {
      const connected = once(server, "connection");
      socket.write(sent);
      await connected;
    }

    await closeWhenIdle(server);

    await ended;
  });

  test("refuses a request that has come only half, so that its client can ask again at once", async () => {
    const stopping = new AbortController();
    const { server, socket, ended } = await connectTo(makeApp([], { stopping: stopping.signal }).app.fetch);
    const asked = once(server, "request");
    socket.write(`${head}content-length: 100\r\n\r\n{"messages"`);
    await asked;

    stopping.abort();
    await closeWhenIdle(server);

    expect(await ended).toMatch(/^HTTP\/1.1 503 [^]*\r\nretry-after-ms: 5000\r\n[^]*"code":"shutting_down"/i);
  });

  test("lets an answer finish, and answers no more over its connection", async () => {
    let answer: (response: Response) => void = () => {};
    const { server, socket, ended } = await connectTo(() => new Promise<Response>((resolve) => (answer = resolve)));
    const asked = once(server, "request");
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await asked;

    const closed = closeWhenIdle(server);
    await new Promise((resolve) => setTimeout(resolve, 400)); // idle connections are closed meanwhile
    answer(new Response("done"));

    expect(await ended).toMatch(/^HTTP\/1.1 200 [^]*\r\nconnection: close\r\n[^]*done/i);
    await closed;
  });

  test("answers a request that was on its way over an idle connection, as its last", async () => {
    const { server, socket, ended } = await connectTo(makeApp().app.fetch);
    const request = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    socket.write(request);
    await once(socket, "data");

    socket.write(request);
    await closeWhenIdle(server);

    expect((await ended).match(/HTTP\/1.1 200|^connection: .*/gim)).toEqual([
      "HTTP/1.1 200",
      expect.stringMatching(/keep-alive/),
      "HTTP/1.1 200",
      "connection: close",
    ]);
  });

  test("answers a request that follows a stream which had begun before", async () => {
    const stream = new TransformStream<Uint8Array, Uint8Array>();
    const writer = stream.writable.getWriter();
    const answers = [new Response(stream.readable), new Response("after it")];
    const { server, socket, ended } = await connectTo(() => answers.shift()!);
    const request = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    socket.write(request);
    await writer.write(Buffer.from("begun"));
    await once(socket, "data");

    const closed = closeWhenIdle(server);
    await writer.close();
    await once(socket, "data");
    socket.write(request);

    expect(await ended).toMatch(/^HTTP\/1.1 200 [^]*begun[^]*HTTP\/1.1 200 [^]*\r\nconnection: close\r\n[^]*after it/i);
    await closed;
  });
});

describe("a client that closes its half of the connection", () => {
  test.each([
    ["", "GET /health HTTP/1.0\r\n\r\n", 1],
    [" twice", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2), 2],
  ])("and has asked%s for what costs nothing is answered, and then let go", async (_, sent, count) => {
    const { socket, ended } = await connectTo(makeApp().app.fetch);

    socket.end(sent);

    expect((await ended).match(/HTTP\/1.1 200 /g)).toHaveLength(count);
  });

  test.each(["", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"])("and has asked for nothing (more) is let go: %j", async (sent) => {
    const { socket, ended } = await connectTo(makeApp().app.fetch);
    socket.write(sent);
    if (sent !== "") await once(socket, "data");

    socket.end();

    await ended;
  });

  test("with many requests on their way is watched by one listener", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    let count = 0;
    const { socket, ended } = await connectTo(() => {
      count++;
      return new Promise<Response>(() => {});
    });
    socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".repeat(20));
    await expect.poll(() => count).toBe(20);

    socket.end();

    await ended;
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
  });

  test("has left where it has asked for work: its request is aborted", async () => {
    let isAborted = false;
    const { socket, ended } = await connectTo(
      ({ signal }) => new Promise<Response>(() => signal.addEventListener("abort", () => (isAborted = true))),
    );

    socket.end("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");

    expect(await ended).toBe("");
    await expect.poll(() => isAborted).toBe(true);
  });
});

test("a client that leaves ends all its requests, also those whose answers waited for their turn on the connection", async () => {
  let asked = 0;
  let aborted = 0;
  let cancelled = 0;
  const { socket, ended } = await connectTo(({ signal }) => {
    asked++;
    signal.addEventListener("abort", () => aborted++);
    const start = (controller: ReadableStreamDefaultController<Uint8Array>) => controller.enqueue(Buffer.from("begun"));
    return new Response(new ReadableStream({ start, cancel: () => void cancelled++ }));
  });
  socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".repeat(3));
  await once(socket, "data");
  await expect.poll(() => asked).toBe(3);

  socket.destroy();

  await ended;
  await expect.poll(() => [aborted, cancelled]).toEqual([3, 3]);
});

test("requests beyond the 20 that wait for an answer on their connection never reach the app", async () => {
  let count = 0;
  const { socket, ended } = await connectTo(async () => {
    count++;
    await Promise.resolve();
    return new Response("answer");
  });

  socket.end("GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(300));

  const said = await ended;
  expect(said.match(/HTTP\/1.1 200 /g)).toHaveLength(20);
  expect(said.match(/HTTP\/1.1 429 [^]*?"code":"too_many_requests"/g)).toHaveLength(280);
  expect(count).toBe(20);
});

test("an idle connection is closed after its answer", async () => {
  const { socket, ended } = await connectTo(makeApp().app.fetch, { ...patient, idleMs: 100 });

  socket.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");

  expect(await ended).toMatch(/^HTTP\/1.1 200 /);
});

test("an answer may take longer than any of these limits", async () => {
  let answer: (response: Response) => void = () => {};
  const limits = { headersMs: 1000, requestMs: 1000, idleMs: 1000, stalledMs: 1000, checkMs: 20 };
  const { server, socket, ended } = await connectTo(() => new Promise<Response>((resolve) => (answer = resolve)), limits);
  const asked = once(server, "request");
  socket.write("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  await asked;

  const silent = connect((server.address() as AddressInfo).port, "127.0.0.1").resume();
  await once(silent, "close"); // it came later, and its time is over
  answer(new Response("late"));

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
      { ...patient, stalledMs: 1000 },
    );
    socket.pause();

    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");

    await expect.poll(() => isCancelled).toBe(true);
  });

  test("is cut off by others' requests when it leaves more unread than all clients together may", async () => {
    const server = createHttpServer(async ({ url }) => new Response(url.endsWith("/long") ? "x".repeat(5e7) : "short"), patient, 1e7);
    closers.push(() => server.close());
    const url = await listenLocally(server);
    const client = connect(Number(new URL(url).port), "127.0.0.1").pause();
    closers.push(() => client.destroy());
    const [connection] = (await once(server, "connection")) as [Socket];
    client.write("GET /long HTTP/1.1\r\nhost: x\r\n\r\n");
    await expect.poll(() => connection.writableLength).toBeGreaterThan(1e7);

    expect(await (await fetch(`${url}/short`)).text()).toBe("short");

    expect(connection.destroyed).toBe(true);
  });

  test("keeps its connection when it only is slow", async () => {
    const stalledMs = 3000; // many times what a busy machine keeps this client from reading
    const started = performance.now();
    const { socket } = await connectTo(
      endless(() => {}),
      { ...patient, stalledMs },
    );
    let isOver = false;
    socket
      .on("close", () => (isOver = true))
      .on("data", () => {
        socket.pause();
        setTimeout(() => socket.resume(), 5);
      });

    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");

    await expect.poll(() => isOver || performance.now() - started > 1.5 * stalledMs).toBe(true);
    expect(isOver).toBe(false);
  });
});

test.skipIf(process.platform !== "linux")("a silent connection is probed, so that a machine that has vanished is noticed", async () => {
  const { server, socket } = await connectTo(() => new Promise<Response>(() => {}));
  const asked = once(server, "request");
  socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await asked;

  const hex = (port: number | undefined): string => port!.toString(16).toUpperCase().padStart(4, "0");
  const ends = new RegExp(`:${hex(socket.remotePort)} \\w+:${hex(socket.localPort)} .* (\\d\\d):\\w+ `);
  // The server's end of the connection, and its timer: 02 is that of keep-alive.
  await expect.poll(() => ends.exec(readFileSync("/proc/self/net/tcp", "utf8"))?.[1]).toBe("02");
});

test("a header over 16 KiB is a 431", async () => {
  const { socket, ended } = await connectTo(makeApp().app.fetch);

  socket.write(`${head}x-long: ${"x".repeat(17_000)}\r\n`);

  expectEnvelope(await ended, "431 Request Header Fields Too Large", "header_too_large");
});

test("a client that expects something unknown gets a 417", async () => {
  const { app, calls } = makeApp();
  const { socket, ended } = await connectTo(app.fetch);

  socket.write(`${head}expect: tea\r\ncontent-length: 100000\r\n\r\n`);

  const said = await ended;
  expect(said).toMatch(/^HTTP\/1.1 417 Expectation Failed\r\n/);
  expect(errorEnvelope.parse(JSON.parse(said.split("\r\n\r\n")[1]!)).error).toMatchObject({ code: "unknown_expectation" });
  expect(calls).toEqual([]);
});

describe("bytes that are not HTTP", () => {
  const noise = "\x16\x03\x01 secret\r\n\r\n"; // as TLS begins

  test.each([
    ["in place of a request", noise],
    ["in place of a chunk", `${head}transfer-encoding: chunked\r\n\r\n5\r\n{"mes\r\nsecret\r\n`],
    ["and go on and on", noise.repeat(50_000)],
  ])("%s are a 400 that quotes none of them", async (_, sent) => {
    const { app, calls } = makeApp();
    const { socket, ended } = await connectTo(app.fetch);

    socket.write(sent);

    const said = await ended;
    expectEnvelope(said, "400 Bad Request", null);
    expect(said).not.toContain("secret");
    expect(calls).toEqual([]);
  });

  test("after an answer get one of their own", async () => {
    const { socket, ended } = await connectTo(makeApp().app.fetch);
    socket.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(socket, "data");

    socket.write(noise);

    const said = await ended;
    expect(said).toMatch(/^HTTP\/1.1 200 /);
    expectEnvelope(said.slice(said.indexOf("HTTP/1.1 400")), "400 Bad Request", null);
  });

  test("behind a request that is not answered yet end it", async () => {
    let isAborted = false;
    const { socket, ended } = await connectTo(
      ({ signal }) => new Promise<Response>(() => signal.addEventListener("abort", () => (isAborted = true))),
    );

    socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n${noise}`);

    expectEnvelope(await ended, "400 Bad Request", null);
    await expect.poll(() => isAborted).toBe(true);
  });

  test("in the body of a request whose answer has begun break the answer off", async () => {
    const { socket, ended } = await connectTo(() => new Response(new ReadableStream({ start: (body) => body.enqueue(new Uint8Array(3)) })));
    socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
    await once(socket, "data");

    socket.write("secret\r\n");

    expect((await ended).match(/HTTP\/1.1/g)).toHaveLength(1);
  });
});

/** Checks that the server said nothing but an error in the API's own form. */
function expectEnvelope(said: string, status: string, code: string | null): void {
  const [fields, json] = said.split("\r\n\r\n");
  expect(fields).toContain(`HTTP/1.1 ${status}\r\nconnection: close\r\n`);
  expect(fields).toMatch(new RegExp(`content-length: ${Buffer.byteLength(json!)}$`));
  expect(errorEnvelope.parse(JSON.parse(json!)).error.code).toBe(code);
}
