import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createHttpServer } from "../../src/cli/http-server.ts";
import { listenLocally } from "../listen-locally.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** The pieces in which the app gets a body that is sent in these chunks. */
async function piecesOf(chunks: readonly string[]): Promise<string[]> {
  const pieces: string[] = [];
  const server = createHttpServer(async (request) => {
    for await (const piece of request.body as unknown as AsyncIterable<Uint8Array>) pieces.push(Buffer.from(piece).toString("latin1"));
    return new Response("read");
  });
  closers.push(() => server.close());
  const { port } = new URL(await listenLocally(server));
  const socket = connect(Number(port), "127.0.0.1");
  closers.push(() => socket.destroy());
  const body = [...chunks, ""].map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("");
  socket.write(`POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${body}`);
  for await (const bytes of socket) if (String(bytes).endsWith("read")) break;
  return pieces;
}

test("a body of many small chunks arrives in few pieces", async () => {
  const letters = Array.from({ length: 50_000 }, (_, i) => String.fromCharCode(97 + (i % 26)));

  const pieces = await piecesOf(letters);

  expect(pieces.join("")).toBe(letters.join(""));
  expect(pieces.length).toBeLessThan(letters.length / 50); // a read of the socket brings up to 64 KiB
});

test("small and large chunks keep their order", async () => {
  const chunks = Array.from({ length: 300 }, (_, i) => String.fromCharCode(97 + (i % 26)).repeat([1, 3, 1024, 1025, 70_000][i % 5]!));

  expect((await piecesOf(chunks)).join("")).toBe(chunks.join(""));
});
