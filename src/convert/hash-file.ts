// Size and SHA-256 of a finished file.

import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";

const readBytes = 4 * 2 ** 20;

export type FileDigest = { readonly bytes: number; readonly sha256: string };

/** `sha256` in hex. */
export function hashFile(path: string): FileDigest {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(readBytes);
  const fd = openSync(path, "r");
  try {
    let bytes = 0;
    for (let count; (count = readSync(fd, buffer, 0, readBytes, bytes)) > 0; bytes += count) hash.update(buffer.subarray(0, count));
    return { bytes, sha256: hash.digest("hex") };
  } finally {
    closeSync(fd);
  }
}
