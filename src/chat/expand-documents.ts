// Replaces the documents of a chat by what the model reads: for a PDF, each page as a picture followed by its text; for a text file, the text.

import type { Chat, DocumentPart, ImagePart, ShownChat, ShownMessage, ShownPart } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import type { PdfRequest } from "../vision/image-task.ts";
import { maxRequestPages } from "../vision/pdf-file.ts";
import type { PixelBudget } from "../vision/pixel-budget.ts";
import { inTags, joinTexts } from "./in-tags.ts";

/** The start of a PDF. Some programs write a few bytes before it; a text may mention it. */
const pdfMark = "%PDF-";
const pdfMarkWithin = 1024;

/**
 * Reads the text of each page of a PDF. Throws RequestError when the PDF is at fault, has more than `maxPages` pages or takes too long, and the
 * signal's reason when it aborts while the PDF waits.
 */
export type ReadPdf = (file: Uint8Array, request: PdfRequest, signal: AbortSignal) => Promise<readonly string[]>;

/** What is needed to read the documents of one request. */
type Reading = {
  /** Absent: PDFs are refused. */
  readonly readPdf?: ReadPdf | undefined;
  readonly pixelBudget?: PixelBudget;
  readonly signal: AbortSignal;
};

/** Pages become picture parts, which are drawn later. Throws RequestError for files that are neither PDFs nor texts, and what `readPdf` throws. */
export async function expandDocuments(chat: Chat, reading: Reading): Promise<ShownChat> {
  const messages: ShownMessage[] = [];
  let pagesLeft = maxRequestPages;
  for (const message of chat.messages) {
    const content: ShownPart[] = [];
    for (const part of message.content) {
      if (part.type !== "document") {
        content.push(part);
        continue;
      }
      const { parts, pageCount } = await expand(part, pagesLeft, reading);
      content.push(...parts);
      pagesLeft -= pageCount;
    }
    messages.push({ ...message, content });
  }
  return { ...chat, messages };
}

async function expand(part: DocumentPart, pagesLeft: number, reading: Reading) {
  const { title, context } = part;
  const text = textOf(part);
  const pages = text === undefined ? await readPages(part, pagesLeft, reading) : [];
  const pieces = text === undefined ? pages.flatMap((shown, page) => showPage(part, shown, page, pages.length)) : [text];
  const parts = joinTexts(inTags("document", { title, context }, pieces)).map((piece): ShownPart =>
    typeof piece === "string" ? { type: "text", text: piece } : piece,
  );
  return { parts, pageCount: pages.length };
}

/** Undefined for a PDF. Throws RequestError for a file that is neither. */
function textOf({ bytes, param }: DocumentPart): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, pdfMarkWithin)).toString("latin1");
  if (start.trimStart().startsWith(pdfMark)) return undefined;
  try {
    if (!bytes.includes(0)) return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {} // no text
  if (start.includes(pdfMark)) return undefined;
  const message = `${param}: expected a PDF or a text in UTF-8, got another kind of file; convert a text to UTF-8, save another document as a PDF, or send an image as a picture`;
  throw new RequestError(message, { code: "unsupported_file", param });
}

function readPages({ bytes, param }: DocumentPart, pagesLeft: number, { readPdf, pixelBudget, signal }: Reading) {
  if (readPdf) return readPdf(bytes, { maxPages: pagesLeft, pixelBudget, param }, signal);
  throw new RequestError(`${param}: this server does not support PDFs; leave them out`, { code: "unsupported_parameter", param });
}

function showPage({ bytes, maxPixels, param }: DocumentPart, text: string, page: number, count: number): (string | ImagePart)[] {
  const picture: ImagePart = { type: "image", bytes, page, ...(maxPixels !== undefined && { maxPixels }), param };
  return [...(count > 1 ? [`Page ${page + 1} of ${count}:`] : []), picture, ...(text === "" ? [] : [text])];
}
