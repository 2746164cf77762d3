// Local files as data URIs in a request.

import { statSync } from "node:fs";
import { basename, extname } from "node:path";
import { UserError } from "../core/errors.ts";
import { formatBytes } from "../core/format-bytes.ts";
import { readBytes, reading } from "../core/file-system.ts";

/** More would not fit into any server's request; base64 adds a third. */
export const maxFileBytes = 128 * 2 ** 20;

/** What to do with a text in another encoding: most of those who meet one read Chinese. */
export const convertToUtf8 = "convert it, such as with iconv -f GB18030 -t UTF-8";

const mediaTypes: Readonly<Record<string, string>> = {
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".webp": "image/webp",
  ".gif": "image/gif",
  ".bmp": "image/bmp",
  ".heic": "image/heic",
  ".avif": "image/avif",
  ".tif": "image/tiff",
  ".tiff": "image/tiff",
  ".mp4": "video/mp4",
  ".m4v": "video/mp4",
  ".mov": "video/quicktime",
  ".webm": "video/webm",
  ".mkv": "video/x-matroska",
  ".avi": "video/x-msvideo",
  ".pdf": "application/pdf",
  ".md": "text/markdown",
  ".csv": "text/csv",
  ".json": "application/json",
};

/** By file extension; unknown ones count as text. */
function mediaTypeOf(path: string): string {
  return mediaTypes[extname(path).toLowerCase()] ?? "text/plain";
}

export function toDataUri(path: string, bytes: Uint8Array): string {
  return `data:${mediaTypeOf(path)};base64,${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")}`;
}

/**
 * The part of a message that carries a file of the user's own choice: as a picture, a video, or else as a document. Throws UserError when it
 * cannot be read.
 */
export function readFilePart(path: string): object {
  const stats = reading(path, () => statSync(path));
  if (!stats.isFile()) throw new UserError(`cannot send ${path}: not a file`); // a device or a pipe may have no end
  const { size } = stats;
  if (size > maxFileBytes)
    throw new UserError(`cannot send ${path}: it has ${formatBytes(size)}, the limit is ${formatBytes(maxFileBytes)}`);
  return toPart(path, readBytes(path));
}

/** The same for bytes that a program has; the name's ending tells what they are. */
export function toPart(path: string, bytes: Uint8Array): object {
  const url = toDataUri(path, bytes);
  const [kind] = mediaTypeOf(path).split("/");
  if (kind === "image") return { type: "image_url", image_url: { url } };
  if (kind === "video") return { type: "video_url", video_url: { url } };
  return { type: "file", file: { filename: basename(path), file_data: url } };
}
