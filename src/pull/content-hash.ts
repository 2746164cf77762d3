// The two kinds of content hash that the hub states, computed piece by piece.

import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { RemoteFile } from "./repository-files.ts";

const readBytes = 2 ** 20;

/** Ready for the file's bytes; git puts the length before them. */
export function createContentHash({ hash, bytes }: RemoteFile): Hash {
  return hash.algorithm === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${bytes}\0`);
}

/** Feeds what a local file holds. */
export async function hashLocalFile(path: string, hash: Hash, signal: AbortSignal): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: readBytes, signal })) hash.update(chunk as Buffer);
}
