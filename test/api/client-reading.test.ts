// Ways in which well-known programs read answers and send requests that no client library of ours has.

import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { sseBody, toFrame } from "../../src/api/sse.ts";
import { createHttpServer } from "../../src/cli/http-server.ts";
import { chatPath, makeApp, userSays } from "./make-app.ts";

type Chunk = { readonly choices: readonly { readonly delta: { readonly content?: string } }[] };

const textOf = (json: string): string => (JSON.parse(json) as Chunk).choices[0]?.delta.content ?? "";

/** sglang.bench_serving: every line that is not empty is data. */
function readByLines(reads: readonly string[]): string {
  const lines = reads.join("").split("\n");
  const data = lines.map((line) => line.trim().replace(/^data: /, "")).filter((line) => line !== "" && line !== "[DONE]");
  return data.map(textOf).join("");
}

/** vllm bench serve: every read is stripped before it joins the others; comments are known only where they come with an empty line. */
function readByReads(reads: readonly string[]): string {
  let buffer = "";
  let text = "";
  const take = (message: string): void => {
    const data = message.trim().replace(/^data: /, "");
    if (data !== "" && data !== "[DONE]" && !data.startsWith(":")) text += textOf(data);
  };
  for (const read of reads.map((chunk) => chunk.trim()).filter((chunk) => chunk !== "")) {
    const messages = (buffer + read).split("\n\n");
    buffer = messages.pop()!;
    messages.forEach(take);
    if (!buffer.startsWith("data: ")) continue;
    take(buffer);
    buffer = "";
  }
  return text;
}

describe("a stream with a silence in it", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test.each([
    ["sglang.bench_serving", readByLines],
    ["vllm bench serve", readByReads],
  ])("is read by %s", async (_, read) => {
    vi.useFakeTimers();
    const pingMs = 15_000;
    const frame = (content: string): string => toFrame({ choices: [{ delta: { content } }] });
    async function* slow() {
      yield frame("Hel");
      await new Promise((resolve) => setTimeout(resolve, 2.5 * pingMs));
      yield frame("lo");
      yield frame(".");
      yield toFrame("[DONE]");
    }
    const body = sseBody(slow(), () => undefined, pingMs).pipeThrough(new TextDecoderStream());
    const reads: string[] = [];
    const all = (async () => {
      for await (const chunk of body) reads.push(chunk);
    })();
    await vi.advanceTimersByTimeAsync(3 * pingMs);
    await all;

    expect(reads).toHaveLength(6); // two of them keep it open
    expect(read(reads)).toBe("Hello.");
  });
});

test("Java's HTTP client, which asks for HTTP/2 beside each request, is answered in HTTP/1.1", async () => {
  const server = createHttpServer(makeApp().app.fetch);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const body = JSON.stringify(userSays("Hi"));
  const lines = [
    `POST ${chatPath} HTTP/1.1`,
    "Connection: Upgrade, HTTP2-Settings",
    "Host: 127.0.0.1",
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    "Transfer-encoding: chunked",
    "Upgrade: h2c",
    "User-Agent: Java-http-client/21.0.5",
    "Content-Type: application/json",
    "",
    `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  ];
  let answer = "";
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").setEncoding("utf8");
  socket.on("data", (text: string) => (answer += text));
  socket.write(lines.join("\r\n"));

  await expect.poll(() => answer).toContain("Hello.");
  expect(answer).toMatch(/^HTTP\/1.1 200 /);
  socket.destroy();
  server.close();
});
