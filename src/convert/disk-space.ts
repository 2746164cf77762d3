// Checks before a conversion that its result will fit on the disk.

import { UserError } from "../core/errors.ts";
import { freeDiskBytes } from "../core/file-system.ts";
import { formatBytes } from "../core/format-bytes.ts";

/** Throws a UserError when the disk of `folder` reports less than `neededBytes` free. */
export function requireDiskSpace(folder: string, neededBytes: number): void {
  const freeBytes = freeDiskBytes(folder);
  if (freeBytes === undefined || freeBytes >= neededBytes) return;
  const [needed, free] = [neededBytes, freeBytes].map(formatBytes);
  throw new UserError(
    `cannot write to ${folder}: the conversion needs ${needed} of disk space, but only ${free} is free; free some, or choose another disk`,
  );
}
