import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { SseReader } from "../../src/client/sse-reader.ts";

function readAll(...pieces: readonly (string | Buffer)[]): string[] {
  const reader = new SseReader();
  return pieces.flatMap((piece) => reader.push(Buffer.from(piece)));
}

describe("server-sent events", () => {
  test.each([
    ["one event", "data: a\n\n", ["a"]],
    ["without the blank", "data:a\n\n", ["a"]],
    ["only one blank is dropped", "data:  a\n\n", [" a"]],
    ["several lines", "data: a\ndata: b\n\n", ["a\nb"]],
    ["lines that end as on Windows", "data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]],
    ["comments and other fields", ": ping\n\nevent: x\nid: 1\ndata: a\n\n", ["a"]],
    ["an empty one", "data:\n\n", [""]],
    ["cut off by the end", "data: a\n\ndata: b\n", ["a"]],
    ["blank lines alone", "\n\n\n", []],
  ])("%s", (_name, text, expected) => {
    expect(readAll(text)).toEqual(expected);
  });

  test("are the same however the bytes are cut", () => {
    const line = fc.constantFrom('data: {"a": 1}', "data: naïve 你好 🙂", "data:", ": ping", "event: x", "");
    const ending = fc.constantFrom("\n", "\r\n");
    const stream = fc.array(fc.tuple(line, ending), { maxLength: 12 }).map((lines) => Buffer.from(`${lines.flat().join("")}\n\n`));
    fc.assert(
      fc.property(stream, fc.array(fc.nat(200), { maxLength: 8 }), (bytes, cuts) => {
        const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].toSorted((a, b) => a - b);
        const pieces = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));

        expect(readAll(...pieces)).toEqual(readAll(bytes));
      }),
    );
  });

  test("are searched once, in however many pieces they come: a long one would take minutes", () => {
    const indexOf = vi.spyOn(String.prototype, "indexOf");
    const [text, pieceCount] = [`data: ${"a".repeat(1018)}`, 256];

    const events = readAll(...Array.from({ length: pieceCount }, () => text), "\n\n");

    const searched = (indexOf.mock.contexts as string[]).reduce((sum, { length }) => sum + length, 0);
    indexOf.mockRestore();
    expect(events[0]).toHaveLength(pieceCount * text.length - 6);
    expect(searched).toBeLessThan(2 * pieceCount * text.length);
  });

  test.each([
    ["a line", "a".repeat(2 ** 20)],
    ["an event of many lines", `data: ${"a".repeat(1017)}\n`.repeat(2 ** 10)],
  ])("do not fill the memory when %s never ends", (_, megabyte) => {
    const reader = new SseReader();

    expect(() => {
      for (let i = 0; i < 40; i++) reader.push(Buffer.from(megabyte));
    }).toThrow("more than 16777216 characters");
  });
});
