// What Node's file system does not do well by itself: making and finding folders, measuring free space, and saying what went wrong.

import { existsSync, mkdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { getSystemErrorMap } from "node:util";
import { UserError } from "./errors.ts";

/** "permission denied": Node's own message has the name of the call and the path around it, which the caller names itself. */
export function systemReason(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  return (errno !== undefined && getSystemErrorMap().get(errno)?.[1]) || message;
}

/** Runs a file system call that reads `path`; its failure becomes a UserError. */
export function reading<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${systemReason(error)}`, { cause: error });
  }
}

/** Runs a file system call that changes `path`; its failure becomes a UserError. */
export function writing<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw writeError(path, error);
  }
}

const noSpace = "free disk space or choose another folder";
const advice: Readonly<Record<string, string>> = {
  ENOSPC: noSpace,
  EDQUOT: noSpace,
  EFBIG: "choose a file system that takes larger files, or raise ulimit -f",
  EEXIST: "delete it or choose another name",
};

/** A UserError that explains a failure to write `path` and what to do about it. */
export function writeError(path: string, error: unknown): UserError {
  const { code = "" } = error as NodeJS.ErrnoException;
  const whatToDo = advice[code] ?? "check the folder and its permissions";
  return new UserError(`cannot write ${path}: ${systemReason(error)}; ${whatToDo}`, { cause: error });
}

/** The content of a file. Throws a UserError. */
export function readBytes(path: string): Buffer {
  const bytes = reading(path, () => readFileSync(path));
  refuseLfsPointer(path, bytes);
  return bytes;
}

/** The text of a UTF-8 file, without the byte order mark that Windows programs put first. Throws a UserError. */
export function readText(path: string): string {
  return readBytes(path)
    .toString("utf8")
    .replace(/^\uFEFF/, "");
}

/** Throws a UserError if a file with this content (or beginning of it) is what a clone without Git LFS has in place of each large file. */
export function refuseLfsPointer(path: string, content: Uint8Array): void {
  const isPointer = Buffer.from(content.subarray(0, 64)).toString("latin1").startsWith("version https://git-lfs");
  if (isPointer) throw new UserError(`${path}: expected the file itself, got a Git LFS pointer; fetch it with git lfs pull`);
}

/** The text of a file of Linux's in /proc or /sys, whose path may come in parts; "" where there is none, as on other systems. */
export function readSystemFile(...path: readonly string[]): string {
  try {
    return readFileSync(join(...path), "utf8");
  } catch {
    return "";
  }
}

/** The user's home folder, also if $HOME is empty; undefined for a user id without an account, as in some containers. */
export function homeFolder(): string | undefined {
  try {
    return homedir() || userInfo().homedir;
  } catch {
    return undefined;
  }
}

/** Free space on the disk of `folder`, which need not exist yet; undefined if the file system does not report it. */
export function freeDiskBytes(folder: string): number | undefined {
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const { bavail, bsize, blocks } = statfsSync(existing);
  return blocks === 0 ? undefined : bavail * bsize;
}

/** Makes a folder and those above it. Node's `recursive` tries for ever where a system's folder, such as /proc, denies with ENOENT. */
export function makeFolders(path: string): void {
  const parent = dirname(path);
  if (!existsSync(parent)) makeFolders(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    // It may have been there, or another process has made it meanwhile.
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}
