// Documents among files: PDFs, and texts in UTF-8. What is in a file decides, as on the server (src/chat/expand-documents.ts).

/** Media types by kind, under which documents are sent and shown. */
export const documentTypes = { pdf: "application/pdf", text: "text/plain" } as const;

export type DocumentKind = keyof typeof documentTypes;

/** What the server takes of one document (`documentBytes` in src/api/app-options.ts). */
export const maxDocumentBytes = 32 * 2 ** 20;

/** What the dialog for files offers: texts by their endings, too, as systems know the types of few. */
export const offeredDocuments =
  "application/pdf,text/*,application/json,application/xml,application/yaml,.pdf,.txt,.md,.csv,.tsv,.json,.jsonl,.xml,.yaml,.yml,.toml," +
  ".ini,.log,.tex,.rst,.html,.css,.sql,.sh,.py,.ipynb,.js,.mjs,.ts,.tsx,.jsx,.c,.h,.cc,.cpp,.hpp,.cu,.cs,.go,.rs,.java,.kt,.swift,.rb,.php,.lua,.r,.diff";

/** A PDF begins with it, but for what some programs write before it. */
const pdfMark = "%PDF-";
const pdfMarkWithin = 1024;

const chunkBytes = 2 ** 20;

/** Undefined for a file that is neither. Of one beyond the limit only the beginning is looked at. Rejects where it cannot be read. */
export async function kindOfDocument(file: Blob): Promise<DocumentKind | undefined> {
  const start = new TextDecoder("latin1").decode(await file.slice(0, pdfMarkWithin).arrayBuffer());
  if (start.includes(pdfMark)) return "pdf";
  return (await isText(file.slice(0, maxDocumentBytes + 1))) ? "text" : undefined;
}

async function isText(file: Blob): Promise<boolean> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let from = 0; from < file.size; from += chunkBytes) {
    const bytes = new Uint8Array(await file.slice(from, from + chunkBytes).arrayBuffer());
    const isLast = from + chunkBytes >= file.size && file.size <= maxDocumentBytes; // else a character may be cut
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
