// Parts of a message that are files: `file` as OpenAI spells it for chats, `input_file` for responses.

import { z } from "zod";
import { toDataUri } from "./data-uri.ts";
import type { DocumentSource } from "./media-parts.ts";
import { oneOf, optional, text } from "./schema-fields.ts";

const noFileId = optional(z.undefined("nothing, as uploaded files are not supported; send file_data"));

const fields = {
  file_id: noFileId, // refused before what is missing in its place
  file_data: optional(text, "The file as a data URI or in base64."),
  filename: optional(text, "For the model, as the title of the document."),
  detail: optional(oneOf("auto", "low", "high"), "Of the pictures of a PDF's pages."),
};

export const filePart = z.object({
  type: z.literal("file"),
  file: z.object({ ...fields, file_data: text.describe("The file as a data URI or in base64.") }, "an object with file_data"),
});

export const inputFile = z
  .object({
    type: z.literal("input_file"),
    ...fields,
    file_url: optional(text, "Where the file is."),
  })
  .refine(({ file_data: data, file_url: url }) => (data === undefined) !== (url === undefined), "either file_data or file_url");

/** `path` is that of the part. */
export function toDocument(part: z.infer<typeof filePart> | z.infer<typeof inputFile>, path: string): DocumentSource {
  if (part.type === "file") {
    const { file_data: data, filename, detail } = part.file;
    return { url: toDataUri(data), title: filename, detail, param: `${path}.file.file_data` };
  }
  const { file_data: data, file_url: url, filename, detail } = part;
  const source = { title: filename, detail };
  return data === undefined
    ? { ...source, url: url!, param: `${path}.file_url` }
    : { ...source, url: toDataUri(data), param: `${path}.file_data` };
}
