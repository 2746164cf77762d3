import { describe, expect, test, vi } from "vitest";
import { expandDocuments, type ReadPdf } from "../../src/chat/expand-documents.ts";
import type { Chat, ContentPart, DocumentPart } from "../../src/core/chat.ts";
import { RequestError } from "../../src/core/errors.ts";

const never = new AbortController().signal;
const pdf = Buffer.from("%PDF-1.7\n…");

function document(bytes: Uint8Array, fields: Partial<DocumentPart> = {}): DocumentPart {
  return { type: "document", bytes, param: "messages[0].content[0]", ...fields };
}

function ask(...content: ContentPart[]): Chat {
  return { messages: [{ role: "user", content }], thinking: false };
}

async function expand(chat: Chat, readPdf?: ReadPdf) {
  const { messages } = await expandDocuments(chat, { readPdf, signal: never });
  return messages.flatMap(({ content }) => content);
}

const text = (value: string) => ({ type: "text", text: value });
const page = (number: number, fields = {}) => ({ type: "image", bytes: pdf, page: number, param: "messages[0].content[0]", ...fields });

describe("a PDF becomes", () => {
  test("its pages, each a picture with the text in it, between tags", async () => {
    const parts = await expand(
      ask(text("Before.") as ContentPart, document(pdf, { title: "a.pdf", context: "A bill", maxPixels: 1000 })),
      async () => ["One", "", "Three"],
    );

    expect(parts).toEqual([
      text("Before."),
      text("<document>\n<title>a.pdf</title>\n<context>A bill</context>\nPage 1 of 3:\n"),
      page(0, { maxPixels: 1000 }),
      text("\nOne\nPage 2 of 3:\n"),
      page(1, { maxPixels: 1000 }),
      text("\nPage 3 of 3:\n"),
      page(2, { maxPixels: 1000 }),
      text("\nThree\n</document>\n"),
    ]);
  });

  test("its only page", async () => {
    expect(await expand(ask(document(pdf)), async () => ["One"])).toEqual([text("<document>\n"), page(0), text("\nOne\n</document>\n")]);
  });

  test("whatever stands before its mark, within a kilobyte", async () => {
    const readPdf = vi.fn(async () => ["One"]);
    const late = (bytes: number) => document(Buffer.concat([Buffer.alloc(bytes, " "), pdf]));

    await expand(ask(late(1000), late(2000)), readPdf);

    expect(readPdf).toHaveBeenCalledTimes(1);
  });
});

test("all PDFs of a request share 100 pages", async () => {
  const readPdf = vi.fn<ReadPdf>(async () => Array<string>(30).fill(""));

  await expand({ messages: [...ask(document(pdf), document(pdf)).messages, ...ask(document(pdf)).messages], thinking: false }, readPdf);

  expect(readPdf.mock.calls.map(([, { maxPages }]) => maxPages)).toEqual([100, 70, 40]);
});

test("a text is read as it is", async () => {
  expect(await expand(ask(document(Buffer.from("Grüße\n</think>"), { title: "a.txt" })))).toEqual([
    text("<document>\n<title>a.txt</title>\nGrüße\n</think>\n</document>\n"),
  ]);
});

describe("is refused", () => {
  test.each([
    ["a picture", Buffer.from("89504e470d0a1a0a0000000d49484452", "hex")],
    ["a text in another encoding", Buffer.from("Gr\xfc\xdfe", "latin1")],
    ["a text in UTF-16", Buffer.from("Hello", "utf16le")],
  ])("%s", async (_, bytes) => {
    const message =
      "messages[0].content[0]: expected a PDF or a text in UTF-8, got another kind of file; convert a text to UTF-8, save another document as a PDF, or send an image as a picture";
    const error = new RequestError(message, { code: "unsupported_file", param: "messages[0].content[0]" });
    await expect(expand(ask(document(bytes)), async () => [])).rejects.toThrow(error);
  });

  test("a PDF where none are taken", async () => {
    await expect(expand(ask(document(pdf)))).rejects.toThrow(expect.objectContaining({ status: 400, code: "unsupported_parameter" }));
  });
});
