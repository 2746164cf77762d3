// What a pull would do: which files are complete in the folder, which are missing, and how much of those has arrived.

import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../core/errors.ts";
import { createContentHash, hashLocalFile } from "./content-hash.ts";
import type { PullRecord } from "./pull-record.ts";
import { isNeeded, type RemoteFile } from "./repository-files.ts";

export type MissingFile = {
  readonly file: RemoteFile;
  /** Bytes of an interrupted pull. */
  readonly arrivedBytes: number;
  /** Another file of this name is there and will be replaced. */
  readonly replaces: boolean;
};

export type PullPlan = {
  readonly complete: readonly RemoteFile[];
  readonly missing: readonly MissingFile[];
  /** Parts of contents that are no longer wanted. */
  readonly staleParts: readonly string[];
};

const partName = /^(.+)\.[0-9a-f]{12}\.part$/;

/** The content's hash is in the name: a part of other content is never continued. */
export function partPath(folder: string, { name, hash }: RemoteFile): string {
  return join(folder, `${name}.${hash.hex.slice(0, 12)}.part`);
}

/** Files of the right size that no record vouches for are read and hashed; `note` is told first. */
export async function planPull(
  folder: string,
  files: readonly RemoteFile[],
  record: PullRecord,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<PullPlan> {
  const complete: RemoteFile[] = [];
  const missing: MissingFile[] = [];
  for (const file of files) {
    const stored = statSync(join(folder, file.name), { throwIfNoEntry: false });
    if (stored?.isDirectory()) throw new UserError(`${join(folder, file.name)}: expected a file or nothing, got a folder; delete it`);
    const hasContent = async (): Promise<boolean> => record.matches(file) ?? (await verify(folder, file, signal, note));
    if (stored?.size === file.bytes && (await hasContent())) complete.push(file);
    else {
      const arrivedBytes = statSync(partPath(folder, file), { throwIfNoEntry: false })?.size ?? 0;
      missing.push({ file, arrivedBytes: Math.min(arrivedBytes, file.bytes), replaces: stored !== undefined });
    }
  }
  const current = new Set(missing.map(({ file }) => partPath(folder, file)));
  const parts = (existsSync(folder) ? readdirSync(folder) : []).filter((name) => isNeeded(partName.exec(name)?.[1] ?? ""));
  return { complete, missing, staleParts: parts.map((name) => join(folder, name)).filter((path) => !current.has(path)) };
}

async function verify(folder: string, file: RemoteFile, signal: AbortSignal, note: (line: string) => void): Promise<boolean> {
  note(`verifying ${file.name}, which is already there`);
  const hash = createContentHash(file);
  await hashLocalFile(join(folder, file.name), hash, signal);
  return hash.digest("hex") === file.hash.hex;
}

/** Throws the file system's error. */
export function removeStaleParts({ staleParts }: PullPlan): void {
  for (const path of staleParts) rmSync(path, { force: true });
}

/** Still to be downloaded. */
export function missingBytes({ missing }: PullPlan): number {
  return missing.reduce((sum, { file, arrivedBytes }) => sum + file.bytes - arrivedBytes, 0);
}
