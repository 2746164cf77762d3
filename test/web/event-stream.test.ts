// Server-sent events, however the network cuts them.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readEvents } from "../../web/chat/event-stream.ts";

function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new Uint8Array(chunk));
      controller.close();
    },
  });
}

async function eventsOf(...texts: readonly string[]): Promise<string[]> {
  return collect(texts.map((text) => new TextEncoder().encode(text)));
}

async function collect(chunks: readonly Uint8Array[]): Promise<string[]> {
  const events: string[] = [];
  for await (const event of readEvents(streamOf(chunks))) events.push(event);
  return events;
}

describe("events", () => {
  test.each([
    ["of one line", ["data: one\n\n"], ["one"]],
    ["several at once", ["data: one\n\ndata: two\n\n"], ["one", "two"]],
    ["with comments between", [": ping\n\ndata: one\n\n: ping\n\n"], ["one"]],
    ["of several lines", ["data: one\ndata: two\n\n"], ["one\ntwo"]],
    ["without a space", ["data:one\n\n"], ["one"]],
    ["with other fields", ["event: x\nid: 1\ndata: one\nretry: 5\n\n"], ["one"]],
    ["empty", ["data\n\n", "data:\n\n"], ["", ""]],
    ["with Windows line ends, cut between the two characters", ["data: one\r", "\n\r", "\ndata: two\r\n\r\n"], ["one", "two"]],
    ["that were not ended", ["data: one\n\ndata: tw"], ["one"]],
    ["none", [""], []],
  ])("%s", async (_, chunks, expected) => {
    expect(await eventsOf(...chunks)).toEqual(expected);
  });

  test("any cut of the bytes gives the same events", async () => {
    const line = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll(/[\r\n]/g, " "));
    const bytesOf = (texts: readonly string[]) => new TextEncoder().encode(texts.map((text) => `data: ${text}\n\n`).join(""));

    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 5 }), fc.array(fc.nat(60), { maxLength: 20 }), async (texts, sizes) => {
        const bytes = bytesOf(texts);
        const chunks: Uint8Array[] = [];
        let at = 0;
        for (const size of sizes) chunks.push(bytes.slice(at, (at += size)));
        chunks.push(bytes.slice(at));

        expect(await collect(chunks)).toEqual(texts);
      }),
    );
  });

  test("a reader that leaves early gives the connection back", async () => {
    let isCancelled = false;
    const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => controller.enqueue(new TextEncoder().encode("data: again\n\n")),
      cancel: () => void (isCancelled = true),
    });

    for await (const event of readEvents(endless)) if (event === "again") break;

    expect(isCancelled).toBe(true);
  });
});
