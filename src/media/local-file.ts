// One file of the server's own disk, from folders the operator allows.

import { constants, realpathSync, statSync } from "node:fs";
import { open, realpath, type FileHandle } from "node:fs/promises";
import { isAbsolute, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { RequestError, UserError } from "../core/errors.ts";
import type { MediaRequest } from "../core/media.ts";
import { fileTooLarge } from "./refusals.ts";

/** The folder without symbolic links on its way. Throws UserError when there is none. */
export function resolveFolder(folder: string): string {
  try {
    const path = realpathSync(folder);
    if (statSync(path).isDirectory()) return path;
  } catch {
    // said below
  }
  throw new UserError(`--allow-media-path: expected a folder, got ${folder}, which is none`);
}

/** `folders` are without symbolic links. Throws RequestError; what lies elsewhere and what does not exist are refused alike. */
export async function readLocalFile(url: URL, { param, maxBytes }: MediaRequest, folders: readonly string[]): Promise<Uint8Array> {
  const handle = await openInside(url, folders).catch((cause: unknown) => {
    throw fileNotFound(param, cause);
  });
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw fileNotFound(param);
    if (stats.size > maxBytes) throw fileTooLarge(param, maxBytes);
    return await readBytes(handle, stats.size);
  } finally {
    await handle.close();
  }
}

/** Links are followed before the check, and none after it; a pipe is opened without waiting for its writer. */
async function openInside(url: URL, folders: readonly string[]): Promise<FileHandle> {
  const path = await realpath(fileURLToPath(url)); // throws for another host, an escaped slash, a NUL
  if (!folders.some((folder) => isInside(path, folder))) throw new Error("outside the allowed folders");
  return open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** At most `size` bytes, fewer when the file has shrunk meanwhile. */
async function readBytes(handle: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await handle.read(bytes, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

function fileNotFound(param: string, cause?: unknown): RequestError {
  const message = `${param}: there is no such file in the folders that this server allows; check the path, or send the file itself as a data URI`;
  return new RequestError(message, { code: "image_file_not_found", param, cause });
}
