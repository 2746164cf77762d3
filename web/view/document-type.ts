// Recognises documents: PDFs and UTF-8 text. The file's content decides, as on the server (src/chat/expand-documents.ts).

/** The media types in which documents are sent and shown. */
export const documentTypes = { pdf: "application/pdf", text: "text/plain" } as const;

export type DocumentKind = keyof typeof documentTypes;

/** The server's limit for one document (`documentBytes` in src/api/app-options.ts). */
export const maxDocumentBytes = 32 * 2 ** 20;

/** What the file dialog offers. Text files are also listed by extension, because systems know few of their media types. */
export const offeredDocuments =
  "application/pdf,text/*,application/json,application/xml,application/yaml,.pdf,.txt,.md,.csv,.tsv,.json,.jsonl,.xml,.yaml,.yml,.toml," +
  ".ini,.log,.tex,.rst,.html,.css,.sql,.sh,.py,.ipynb,.js,.mjs,.ts,.tsx,.jsx,.c,.h,.cc,.cpp,.hpp,.cu,.cs,.go,.rs,.java,.kt,.swift,.rb,.php,.lua,.r,.diff";

/** Every PDF begins with this mark, though some programs write other bytes before it. A text may mention it. */
const pdfMark = "%PDF-";
const pdfMarkWithin = 1024;

const chunkBytes = 2 ** 20;

/** Undefined for a file that is neither. Of a file beyond the limit only the beginning is checked. Rejects if it cannot be read. */
export async function kindOfDocument(file: Blob): Promise<DocumentKind | undefined> {
  const start = new TextDecoder("latin1").decode(await file.slice(0, pdfMarkWithin).arrayBuffer());
  if (start.trimStart().startsWith(pdfMark)) return "pdf";
  if (await isText(file.slice(0, maxDocumentBytes + 1))) return "text";
  return start.includes(pdfMark) ? "pdf" : undefined;
}

async function isText(file: Blob): Promise<boolean> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let from = 0; from < file.size; from += chunkBytes) {
    const bytes = new Uint8Array(await file.slice(from, from + chunkBytes).arrayBuffer());
    const isLast = from + chunkBytes >= file.size && file.size <= maxDocumentBytes; // else the chunk may end within a character
    if (bytes.includes(0) || !decodes(decoder, bytes, !isLast)) return false;
  }
  return true;
}

function decodes(decoder: TextDecoder, bytes: Uint8Array, stream: boolean): boolean {
  try {
    decoder.decode(bytes, { stream });
    return true;
  } catch {
    return false;
  }
}
