// Locks that processes hold on a name, and that the system takes back from a holder that was killed.

import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, statSync, unlinkSync, writeSync } from "node:fs";
import { constants as system, hostname } from "node:os";
import koffi from "koffi";
import { UserError } from "../core/errors.ts";
import { systemReason } from "../core/file-system.ts";
import { cLibrary } from "./load-library.ts";

const exclusive = 2; // LOCK_EX
const atOnce = 4; // LOCK_NB
const { O_RDWR, O_CREAT, O_NOFOLLOW = 0 } = constants;

const holderShape = /^process \d+ on [\w.-]{1,64} since [\d:T.Z-]+$/;

/**
 * `PATH.lock`, which says who holds it, under the system's own lock (flock; over NFS the server keeps it, so other machines heed it). A file
 * that a killed holder leaves behind locks nothing.
 */
export class FileLock {
  readonly #path: string;
  readonly #file: number;

  private constructor(path: string, file: number) {
    this.#path = path;
    this.#file = file;
  }

  /** Undefined where the file system has no locks. Throws a UserError that names the holder, or says why the file cannot be made. */
  static take(path: string): FileLock | undefined {
    const lockPath = `${path}.lock`;
    try {
      for (;;) {
        const file = openSync(lockPath, O_RDWR | O_CREAT | O_NOFOLLOW, 0o666);
        const errno = lock(file);
        // The last holder may have removed the file in between: whoever comes next would lock another one.
        if (errno === 0 && isStill(file, lockPath)) {
          ftruncateSync(file);
          writeSync(file, `process ${process.pid} on ${hostname()} since ${new Date().toISOString()}`, 0);
          return new FileLock(lockPath, file);
        }
        const holder = readHolder(file);
        closeSync(file);
        if (errno === system.errno.EAGAIN) {
          throw new UserError(`${path} is being written by ${holder}; wait for it, or stop it, then run the same command again`);
        }
        if (errno !== 0 && errno !== system.errno.EINTR) return undefined;
      }
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`cannot write ${lockPath}: ${systemReason(error)}`, { cause: error });
    }
  }

  release(): void {
    try {
      unlinkSync(this.#path);
    } catch {
      // Removed by somebody, or the folder cannot be written any more: it locks nothing.
    }
    closeSync(this.#file);
  }
}

/** 0 where it was locked, else the system's number of the reason. */
function lock(file: number): number {
  if (process.platform === "win32") return system.errno.ENOTSUP;
  const flock = cLibrary.func("int flock(int file, int operation)") as (file: number, operation: number) => number;
  return flock(file, exclusive | atOnce) === 0 ? 0 : koffi.errno();
}

function isStill(file: number, path: string): boolean {
  const [open, named] = [fstatSync(file, { bigint: true }), statSync(path, { bigint: true, throwIfNoEntry: false })];
  return named?.ino === open.ino && named.dev === open.dev;
}

/** What the holder wrote; a system that locks the bytes, too, does not show it. */
function readHolder(file: number): string {
  const bytes = Buffer.alloc(200);
  try {
    const text = bytes.toString("utf8", 0, readSync(file, bytes, 0, bytes.length, 0));
    return holderShape.test(text) ? text : "another process";
  } catch {
    return "another process";
  }
}
