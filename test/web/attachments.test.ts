// What the page takes of files, before it sends them.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { defaultLimits } from "../../src/api/app-options.ts";
import { expandDocuments } from "../../src/chat/expand-documents.ts";
import { maxSourcePixels } from "../../src/vision/decode-image.ts";
import { decodableFormats } from "../../src/vision/image-format.ts";
import { byteCountOf, isPdf } from "../../web/chat/conversation.ts";
import { maxRequestBytes } from "../../web/chat/request.ts";
import { maxPictureBytes, maxPicturePixels, maxVideoBytes, pictureTypes, readFiles } from "../../web/view/attachments.ts";
import { kindOfDocument, maxDocumentBytes } from "../../web/view/document-type.ts";
import { sayBytes } from "../../web/view/say-bytes.ts";
import { makeAttachment } from "./make-turns.ts";

const readLanguages = (...languages: string[]) => vi.stubGlobal("navigator", { languages });
beforeEach(() => readLanguages("en-US", "en"));
afterEach(() => vi.unstubAllGlobals());

test("pictures are made smaller at the limits of the server", () => {
  expect(maxPicturePixels).toBe(maxSourcePixels);
  expect(maxPictureBytes).toBe(defaultLimits.imageBytes);
});

test("pictures in formats of the server are sent as they are", () => {
  expect(pictureTypes).toEqual(decodableFormats.map((format) => `image/${format}`));
});

test("a video that is taken fits into a request, and one that does not is refused before it is read", async () => {
  expect(maxVideoBytes * (4 / 3)).toBeLessThan(defaultLimits.bodyBytes - 2 ** 20);
  const film = Object.defineProperty(new File(["x"], "film.mp4", { type: "video/mp4" }), "size", { value: maxVideoBytes + 1 });
  const refusals = ["film.mp4 is larger than 47 MiB; shorten or compress it."];
  expect(await readFiles([film], true)).toEqual({ attachments: [], refusals });
});

test.each([
  ["notes.doc", "application/msword", "\0", false, "notes.doc is not a picture, a PDF or a UTF-8 text file."],
  ["notes.doc", "application/msword", "\0", true, "notes.doc is not a picture, a video, a PDF or a UTF-8 text file."],
  ["film.mp4", "video/mp4", "x", false, "film.mp4 is a video, which this model does not accept."],
  ["film.ts", "video/mp2t", "\0", false, "film.ts is a video, which this model does not accept."],
  ["empty.jpg", "image/jpeg", "", true, "empty.jpg is empty."],
  ["empty", "", "", true, "empty is empty."],
])("%s (%s) is refused in words", async (name, type, content, takesVideo, words) => {
  expect(await readFiles([new File([content], name, { type })], takesVideo)).toEqual({ attachments: [], refusals: [words] });
});

test("a file that cannot be read, as a folder, is said to be", async () => {
  const folder = new File(["x"], "folder");
  folder.slice = () => {
    throw new DOMException("gone", "NotFoundError");
  };

  expect(await readFiles([folder], true)).toEqual({ attachments: [], refusals: ["folder could not be read."] });
});

describe("documents", () => {
  test("have the limits of the server, and one that is larger is refused", async () => {
    expect(maxDocumentBytes).toBe(defaultLimits.documentBytes);
    expect(maxRequestBytes).toBe(defaultLimits.bodyBytes);
    const cut = new File(["a", "ä".repeat(maxDocumentBytes / 2)], "book.txt"); // the limit is in the middle of a character
    const refusals = ["book.txt is larger than 32 MiB; attach only the part you need."];
    expect(await readFiles([cut], true)).toEqual({ attachments: [], refusals });
  });

  const mebi = 2 ** 20;
  const cases: [string, Buffer, "pdf" | "text" | undefined][] = [
    ["a PDF", Buffer.from("%PDF-1.7 \0\xff", "latin1"), "pdf"],
    ["a PDF behind what a printer was told", Buffer.concat([Buffer.from("\x1b%-12345X@PJL\r\n"), Buffer.from("%PDF-1.4\0")]), "pdf"],
    ["the mark in the last place for it", Buffer.concat([Buffer.alloc(1019), Buffer.from("%PDF-1.4")]), "pdf"],
    ["the mark one byte too late", Buffer.concat([Buffer.alloc(1020), Buffer.from("%PDF-1.4")]), undefined],
    ["a text", Buffer.from("Zwölf Boxkämpfer, 你好 🙂"), "text"],
    ["a program that looks for the mark of PDFs", Buffer.from('const pdfMark = "%PDF-";'), "text"],
    ["a PDF of text alone, behind blanks", Buffer.from(" \n%PDF-1.4\n"), "pdf"],
    ["a text with the mark of its byte order", Buffer.from("\ufeffa"), "text"],
    ["a text in UTF-16", Buffer.from("\ufeffabc", "utf16le"), undefined],
    ["a text in Latin-1", Buffer.from("Zwölf", "latin1"), undefined],
    ["a text that ends within a character", Buffer.from("你").subarray(0, 2), undefined],
    ["a long text with characters across all bounds", Buffer.from(`a${"你".repeat(mebi)}`), "text"],
    ["a long text with a zero at its end", Buffer.from(`${"a".repeat(2 * mebi)}\0`), undefined],
    ["a long text that breaks in its middle", Buffer.from(`${"a".repeat(2 * mebi)}\xff${"a".repeat(mebi)}`, "latin1"), undefined],
    ["a ZIP archive", Buffer.from("PK\u0003\u0004\0\0\xff", "latin1"), undefined],
  ];
  test.each(cases)("are told by what is in them, as by the server: %s", async (_, bytes, expected) => {
    expect(await kindOfDocument(new Blob([new Uint8Array(bytes)]))).toBe(expected);

    const read: string[] = [];
    const asked = expandDocuments({ messages: [{ role: "user", content: [{ type: "document", bytes, param: "file" }] }] } as never, {
      readPdf: async () => (read.push("pdf"), [""]),
      signal: new AbortController().signal,
    });
    expect(
      await asked.then(
        () => read[0] ?? "text",
        ({ code }: { code: string }) => code,
      ),
    ).toBe(expected ?? "unsupported_file");
  });

  const gbk = Buffer.from("d0d5c3fb2cb3c7cad00d0ad5c5c8fd2cb1b1bea90d0a", "hex"); // a table that Excel saved
  test.each<[string, string[], Buffer, string | undefined]>([
    ["GBK, for who reads Chinese", ["zh-CN", "zh", "en"], gbk, "姓名,城市\r\n张三,北京\r\n"],
    ["GBK, for who does not", ["en-US"], gbk, undefined],
    ["GB18030 with four bytes", ["en", "zh-Hans-CN"], Buffer.from("8139ee39", "hex"), "㐀"],
    ["Big5", ["zh-TW"], Buffer.from("c163c5e9a4a4a4e5", "hex"), "繁體中文"],
    ["Shift JIS", ["ja"], Buffer.from("93fa967b8cea", "hex"), "日本語"],
    ["EUC-KR", ["ko-KR"], Buffer.from("c7d1b1db", "hex"), "한글"],
    ["UTF-16 of Windows", ["en-US"], Buffer.from("\ufeff你好\r\n", "utf16le"), "你好\r\n"],
    ["UTF-16, big-endian", ["en-US"], Buffer.from("feff4f60", "hex"), "你"],
    ["half a character of GBK", ["zh-CN"], gbk.subarray(0, 3), undefined],
    ["an archive", ["zh-CN", "ja"], Buffer.from("PK\u0003\u0004\0\0\u0001", "latin1"), undefined],
  ])("in another encoding than UTF-8 are converted: %s", async (_, languages, bytes, text) => {
    readLanguages(...languages);
    const documents: unknown[] = [];
    vi.stubGlobal(
      "FileReader",
      class extends EventTarget {
        result = "";
        readAsDataURL(file: File): void {
          void file.text().then((read) => (documents.push(read), (this.result = "data:,"), this.dispatchEvent(new Event("load"))));
        }
      },
    );

    const { attachments, refusals } = await readFiles([new File([new Uint8Array(bytes)], "表.csv", { type: "text/csv" })], false);

    expect(documents).toEqual(text === undefined ? [] : [text]);
    expect(attachments.map(({ kind, name }) => [kind, name])).toEqual(text === undefined ? [] : [["document", "表.csv"]]);
    expect(refusals).toEqual(text === undefined ? ["表.csv is not a picture, a PDF or a UTF-8 text file."] : []);
  });

  test.each([0, 1, 2, 3, 4, 1000])("of %i bytes have their size from their data URI", (count) => {
    const url = `data:text/plain;base64,${Buffer.alloc(count).toString("base64")}`;

    expect(byteCountOf(makeAttachment({ url }))).toBe(count);
  });

  test("are PDFs by the type that they were given, which no name changes", () => {
    const url = "data:application/pdf;base64,AAAA";

    expect(isPdf(makeAttachment({ kind: "document", url }))).toBe(true);
    expect(isPdf(makeAttachment({ kind: "document", name: "a.pdf", url: "data:text/plain;base64,AAAA" }))).toBe(false);
    expect(isPdf(makeAttachment({ kind: "image", url }))).toBe(false);
  });

  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1.5 * 2 ** 20, "1.5 MiB"],
  ])("of %i bytes are said to have %s", (bytes, words) => {
    expect(sayBytes(bytes)).toBe(words);
  });
});
