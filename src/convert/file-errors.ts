// Turns failures to write a model into errors for the operator.

import { lstatSync } from "node:fs";
import { UserError } from "../core/errors.ts";
import { systemReason } from "../core/file-system.ts";

/** Runs a file system call that changes `path`; its failure becomes a UserError. */
export function writing<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw writeError(path, error);
  }
}

/** `path` does not exist: throws a UserError when it is a dangling symbolic link, because no folder can take its name. */
export function refuseDeadLink(path: string): void {
  const isLink = writing(path, () => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink());
  if (!isLink) return;
  throw new UserError(`${path}: expected a new or empty folder, got a broken symbolic link; delete it or choose another folder`);
}

/** A UserError that explains a failure to write `path` and what to do about it. */
export function writeError(path: string, error: unknown): UserError {
  const { code } = error as NodeJS.ErrnoException;
  return new UserError(`cannot write ${path}: ${systemReason(error)}; ${advice[code ?? ""] ?? "check the folder and its permissions"}`, {
    cause: error,
  });
}

const noSpace = "free disk space or choose another folder";
const advice: Readonly<Record<string, string>> = {
  ENOSPC: noSpace,
  EDQUOT: noSpace,
  EFBIG: "choose a file system that takes larger files, or raise ulimit -f",
};
