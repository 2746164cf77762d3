// Downloads over real sockets; host names come from a table.

import { getEventListeners } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import type { Resolve } from "../../src/media/host-address.ts";
import { createMediaReader, type MediaLimits } from "../../src/media/media-reader.ts";
import { param, refusal, request } from "./refusal.ts";
import { listenLocally } from "../listen-locally.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const picture = Uint8Array.from({ length: 600 }, (_, i) => i % 251);

/** A server on 127.0.0.1, to which the resolver maps `pictures.test`. Both names are allowed with its port. */
async function startPictures(listener: RequestListener = (_, response) => void response.end(picture)) {
  const seen: IncomingMessage[] = [];
  const server = createServer((incoming, response) => {
    seen.push(incoming);
    listener(incoming, response);
  });
  const { port } = new URL(await listenLocally(server));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { seen, port, url: `http://pictures.test:${port}/a.png`, domains: [`pictures.test:${port}`, `127.0.0.1:${port}`] };
}

const resolveLocal: Resolve = async (name) => (name === "pictures.test" ? ["127.0.0.1"] : []);

function makeReader(domains: readonly string[], { resolve = resolveLocal, ...limits }: { resolve?: Resolve } & Partial<MediaLimits> = {}) {
  return createMediaReader({ domains, folders: [], resolve, limits });
}

describe("a download", () => {
  test("gives the bytes, and asks for them plainly", async () => {
    const { url, domains, seen, port } = await startPictures();

    const bytes = await makeReader(domains).read(`${url}?size=large#part`, request);

    expect([...bytes]).toEqual([...picture]);
    expect(getEventListeners(request.signal, "abort")).toEqual([]); // a request may name many files
    expect(seen[0]).toMatchObject({ method: "GET", url: "/a.png?size=large" });
    expect(seen[0]!.headers).toMatchObject({ host: `pictures.test:${port}`, "accept-encoding": "identity" });
    expect(Object.keys(seen[0]!.headers)).not.toEqual(expect.arrayContaining(["cookie", "authorization", "referer"]));
  });

  test.each([{ "content-length": 1000 }, {}])("may be as large as the limit, with the headers %j", async (headers) => {
    const { url, domains } = await startPictures((_, response) => void response.writeHead(200, headers).end(Buffer.alloc(1000)));

    expect(await makeReader(domains).read(url, request)).toHaveLength(1000);
  });

  test("of an address works without any resolver", async () => {
    const { port, domains } = await startPictures();
    const resolve = () => Promise.reject(new Error("asked"));

    expect(await makeReader(domains, { resolve }).read(`http://127.0.0.1:${port}/`, request)).toHaveLength(picture.length);
  });

  test("resolves a name once and connects to what was checked", async () => {
    const { url, domains, seen } = await startPictures();
    let count = 0;
    const rebinding: Resolve = async () => (++count === 1 ? ["127.0.0.1"] : ["169.254.169.254"]);

    await makeReader(domains, { resolve: rebinding }).read(url, request);

    expect([count, seen.length]).toEqual([1, 1]);
  });

  test("takes no proxy from the environment", async () => {
    const { url, domains } = await startPictures();
    const proxy = await startPictures((_, response) => void response.end("from the proxy"));
    const names = ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"];
    for (const name of names) process.env[name] = `http://127.0.0.1:${proxy.port}`;
    closers.push(() => names.forEach((name) => delete process.env[name]));

    expect(await makeReader(domains).read(url, request)).toHaveLength(picture.length);
    expect(proxy.seen).toEqual([]);
  });

  test("does not send back the cookie that a redirect sets", async () => {
    const { url, domains, seen } = await startPictures((incoming, response) => {
      if (incoming.url === "/a.png") response.writeHead(302, { location: "/b.png", "set-cookie": "a=b" }).end();
      else response.end(picture);
    });

    expect(await makeReader(domains).read(url, request)).toHaveLength(picture.length);
    expect(seen.map((incoming) => [incoming.url, incoming.headers.cookie])).toEqual([
      ["/a.png", undefined],
      ["/b.png", undefined],
    ]);
  });

  test.each([
    [3, 200],
    [4, 400],
  ])("with %i redirects is a %i", async (redirectCount, status) => {
    const { url, domains, seen } = await startPictures((_, response) => {
      if (seen.length > redirectCount) response.end(picture);
      else response.writeHead(307, { location: `/${seen.length}` }).end();
    });
    const reading = makeReader(domains).read(url, request);

    if (status === 200) expect(await reading).toHaveLength(picture.length);
    else
      expect(await refusal(reading)).toMatchObject({
        status,
        code: "failed_to_download_image",
        message: expect.stringMatching(/more than 3 redirects/),
      });
  });
});

describe("nothing is asked for, and the client told why:", () => {
  test.each([
    ["https://evil.test/", "downloads from evil.test are not allowed"],
    ["http://pictures.test/", "downloads from pictures.test are not allowed"],
    ["http://user:pass@pictures.test:PORT/", "without user name and password"],
    ["http://user@pictures.test:PORT/", "without user name and password"],
    ["http://:pass@pictures.test:PORT/", "without user name and password"],
    ["http://pictures.test:PORT\\@evil.test/", undefined],
    ["http://evil.test\\@pictures.test:PORT/", "downloads from evil.test are not allowed"],
    ["ftp://pictures.test/", "expected a data URI such as"],
    ["gopher://pictures.test:PORT/", "expected a data URI such as"],
    ["javascript:alert(1)", "expected a data URI such as"],
    ["//pictures.test:PORT/", "expected a data URI such as"],
    ["pictures.test:PORT/a.png", "expected a data URI such as"],
    ["http://", "expected a data URI such as"],
    [`http://pictures.test:PORT/${"x".repeat(8192)}`, "one of 82"],
    ["file:///etc/hostname", "start the server with --allow-media-path"],
  ])("%.60s", async (template, message) => {
    const { port, domains, seen } = await startPictures();
    const url = template.replaceAll("PORT", String(port));
    const reading = makeReader(domains).read(url, request);

    if (message === undefined) {
      await reading; // as in browsers, a backslash ends the host, and the path follows
      expect(seen[0]!.url).toBe("/@evil.test/");
      return;
    }
    const error = await refusal(reading);
    expect(error).toMatchObject({ status: 400, code: "invalid_image_url", param });
    expect(error.message).toContain(message);
    expect(error.message).toContain(param);
    expect(seen).toEqual([]);
  });

  test("without a rule, with the flag that adds one", async () => {
    const error = await refusal(makeReader([]).read("https://example.org/", request));

    expect(error).toMatchObject({ status: 400, code: "invalid_image_url", param });
    expect(error.message).toContain("start the server with --allow-media-domain HOST");
  });
});

test("whatever the URL says, only an allowed host is looked up", async () => {
  const pieces = ["http:", "https:", "/", "//", "\\", "@", ":", "#", "?", ".", "%2e", "%40", "%00", "\t", " ", "[", "]", "80", "443", "a"];
  const hosts = ["allowed.test", "evil.test", "127.0.0.1", "169.254.169.254", "0x7f.1", "[::1]", "ａllowed.test", "localhost"];
  const anyUrl = fc.array(fc.constantFrom(...pieces, ...hosts, ...hosts), { maxLength: 9 }).map((parts) => parts.join(""));
  const url = fc.oneof(
    anyUrl,
    fc.tuple(fc.constantFrom("http://", "https://"), anyUrl).map(([scheme, rest]) => scheme + rest),
  );
  const asked = new Set<string>();
  const reader = makeReader(["allowed.test"], { resolve: async (name) => (asked.add(name), []) });

  await fc.assert(
    fc.asyncProperty(url, async (text) => {
      expect((await refusal(reader.read(text, request))).status).toBe(400);
    }),
    { numRuns: 3000 },
  );

  expect([...asked].filter((name) => !/^allowed\.test\.?$/.test(name))).toEqual([]);
  expect(asked.has("allowed.test")).toBe(true);
});

describe("a host inside the network, an unknown one and a closed port look the same from outside", () => {
  const names: Record<string, string[]> = {
    "inside.test": ["10.1.2.3"],
    "loop.test": ["127.0.0.1"],
    "both.test": ["8.8.8.8", "127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "closed.test": ["127.0.0.1"],
  };
  const resolve: Resolve = async (name) => names[name] ?? Promise.reject(new Error(`no ${name} at 10.0.0.53`));

  test.each([
    "inside.test",
    "loop.test",
    "both.test",
    "unknown.test",
    "127.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "2130706433",
    "localhost",
  ])("%s", async (host) => {
    const { seen, port } = await startPictures();
    const reader = makeReader([`*:${port}`, "*", "closed.test:1"], { resolve });
    const error = await refusal(reader.read(`http://${host}:${port}/`, request));
    const closed = await refusal(reader.read("http://closed.test:1/", request));

    expect(error).toMatchObject({ status: 400, code: "failed_to_download_image", param, message: closed.message });
    expect(error.message).not.toMatch(/10\.|127|test|ECONN|refused/);
    expect(seen).toEqual([]);
  });

  test("the metadata service is out of reach even for a host named with its port", async () => {
    const error = await refusal(makeReader(["metadata.test:80"], { resolve }).read("http://metadata.test/latest/", request));

    expect(error).toMatchObject({ status: 400, code: "failed_to_download_image" });
  });
});

describe("a redirect is not followed to", () => {
  test.each([
    ["another host", "http://evil.test/"],
    ["a local address", "http://127.0.0.1:1/"],
    ["another port", "http://pictures.test:1/"],
    ["a file", "file:///etc/passwd"],
    ["another protocol", "ftp://pictures.test:PORT/"],
    ["a data URI", "data:image/png;base64,AAAA"],
    ["a URL with a password", "http://user:pass@pictures.test:PORT/"],
    ["nowhere", undefined],
    ["what is no URL", "http://"],
  ])("%s", async (_, target) => {
    const { url, domains, seen, port } = await startPictures((_incoming, response) => {
      response.writeHead(302, target === undefined ? {} : { location: target.replace("PORT", String(port)) }).end();
    });
    const error = await refusal(makeReader(domains).read(url, request));

    expect(error).toMatchObject({ status: 400, code: "failed_to_download_image", param });
    expect(error.message).toContain("redirects to a URL that this server does not download from");
    expect(error.message).not.toMatch(/evil|127|passwd/);
    expect(seen).toHaveLength(1);
  });

  test("a name that now means a local address", async () => {
    const { url, port, seen } = await startPictures(
      (_, response) => void response.writeHead(302, { location: "http://other.test/" }).end(),
    );
    const resolve: Resolve = async () => ["127.0.0.1"];

    const error = await refusal(makeReader([`pictures.test:${port}`, "other.test"], { resolve }).read(url, request));

    expect(error).toMatchObject({ code: "failed_to_download_image", message: expect.stringMatching(/could not be reached/) });
    expect(seen).toHaveLength(1);
  });
});

describe("what the host sends is bounded:", () => {
  const endless = (response: ServerResponse) => {
    response.on("error", () => {});
    const write = () => {
      while (!response.destroyed && response.write(Buffer.alloc(500)));
    };
    response.on("drain", write);
    write();
  };

  test.each<[string, RequestListener, string, RegExp]>([
    ["404", (_, response) => void response.writeHead(404).end("no"), "failed_to_download_image", /the host answered 404/],
    ["404 with a page that does not end", (_, response) => endless(response.writeHead(404)), "failed_to_download_image", /answered 404/],
    [
      "a redirect with a page that does not end",
      (_, response) => endless(response.writeHead(302, { location: "http://evil.test/" })),
      "failed_to_download_image",
      /redirects to a URL/,
    ],
    ["206", (_, response) => void response.writeHead(206).end(picture), "failed_to_download_image", /the host answered 206/],
    ["500", (_, response) => void response.writeHead(500).end("stack"), "failed_to_download_image", /the host answered 500/],
    [
      "a declared length over the limit",
      (_, response) => void response.writeHead(200, { "content-length": 1001 }).flushHeaders(),
      "image_file_too_large",
      /at most 1000 bytes/,
    ],
    ["a longer body than declared", (_, response) => endless(response), "image_file_too_large", /at most 1000 bytes/],
    [
      "a compressed body",
      (_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(1 << 20))),
      "failed_to_download_image",
      /compressed/,
    ],
    [
      "a body that breaks off",
      (_, response) => {
        response.writeHead(200, { "content-length": 600 });
        response.write(picture.subarray(0, 10), () => response.destroy());
      },
      "failed_to_download_image",
      /broke off/,
    ],
    ["no HTTP", (incoming) => void incoming.socket.end("SSH-2.0-server\r\n"), "failed_to_download_image", /could not be reached/],
    [
      "headers without end",
      (_, response) => void response.writeHead(200, { "x-long": "x".repeat(40_000) }).end(),
      "failed_to_download_image",
      /could not be reached/,
    ],
  ])("%s", async (_, listener, code, message) => {
    const { url, domains, seen } = await startPictures(listener);

    const error = await refusal(makeReader(domains).read(url, request));

    expect(error).toMatchObject({ status: 400, code, param });
    expect(error.message).toMatch(message);
    await expect.poll(() => seen.map(({ socket }) => socket.destroyed)).toEqual([true]);
  });

  test.each<[string, RequestListener]>([
    ["no answer", () => {}],
    ["headers alone", (_, response) => response.flushHeaders()],
    ["a drop now and then", (_, response) => void setInterval(() => response.write("x"), 20).unref()],
    [
      "redirects that take their time",
      (_, response) => void setTimeout(() => response.writeHead(302, { location: "/again" }).end(), 60).unref(),
    ],
  ])("%s is given up after the time limit", async (_, listener) => {
    const { url, domains } = await startPictures(listener);

    const error = await refusal(makeReader(domains, { timeoutMs: 100 }).read(url, request));

    expect(error).toMatchObject({
      status: 400,
      code: "failed_to_download_image",
      message: expect.stringMatching(/did not arrive within 0.1 s/),
    });
  });

  test("a resolver that never answers is given up too", async () => {
    const reader = makeReader(["pictures.test"], { timeoutMs: 50, resolve: () => new Promise(() => {}) });

    expect(await refusal(reader.read("http://pictures.test/", request))).toMatchObject({
      message: expect.stringMatching(/did not arrive within/),
    });
  });
});

describe("of many downloads", () => {
  test("so many run at a time, so many wait, one more is a 429; then the queue moves on", async () => {
    const held: ServerResponse[] = [];
    const { url, domains } = await startPictures((_, response) => void held.push(response));
    const reader = makeReader(domains, { downloads: 2, waitingDownloads: 1 });
    const readings = [1, 2, 3].map(() => reader.read(url, request));
    await expect.poll(() => held.length).toBe(2);

    const error = await refusal(reader.read(url, request));
    held[0]!.end(picture);
    await expect.poll(() => held.length).toBe(3);
    for (const response of held) response.end(picture);

    expect(error).toMatchObject({ status: 429, code: "too_many_downloads", retryAfterMs: 1000 });
    expect((await Promise.all(readings)).map(({ length }) => length)).toEqual([600, 600, 600]);
  });

  test("one whose client leaves ends with the client's reason, and its connection with it", async () => {
    const closed: string[] = [];
    const { url, domains, seen } = await startPictures((incoming) => incoming.socket.on("close", () => void closed.push(incoming.url!)));
    const client = new AbortController();
    const reading = makeReader(domains).read(url, { ...request, signal: client.signal });
    await expect.poll(() => seen.length).toBe(1);

    client.abort(new Error("gone"));

    await expect(reading).rejects.toThrow("gone");
    await expect.poll(() => closed).toEqual(["/a.png"]);
  });
});
