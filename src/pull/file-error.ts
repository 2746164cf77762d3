// What an error of the file system means to the operator.

import { UserError } from "../core/errors.ts";
import { systemReason } from "../core/file-system.ts";

/** Errors of the file system about `path` become UserErrors; everything else stays as it is. */
export function toFileError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof UserError || !("syscall" in error)) return error;
  const { code } = error as NodeJS.ErrnoException;
  const advice =
    code === "ENOSPC" || code === "EDQUOT"
      ? "free disk space and run the same command again to resume"
      : "check the folder and its permissions, or choose another with --out";
  return new UserError(`${path}: ${systemReason(error)}; ${advice}`, { cause: error });
}
