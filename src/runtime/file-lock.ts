// Locks that processes hold on a name, and that the system takes back from a holder that was killed.

import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, statSync, unlinkSync, writeSync } from "node:fs";
import { constants as system, hostname } from "node:os";
import { setTimeout } from "node:timers/promises";
import koffi from "koffi";
import { UserError } from "../core/errors.ts";
import { writeError } from "../core/file-system.ts";
import { cLibrary } from "./load-library.ts";

const exclusive = 2; // LOCK_EX
const atOnce = 4; // LOCK_NB
const { O_RDWR, O_CREAT, O_NOFOLLOW = 0 } = constants;
const { EAGAIN, EINTR, ENOTSUP, ESTALE } = system.errno;
type Flock = (file: number, operation: number) => number;
const flock = process.platform === "win32" ? undefined : (cLibrary.func("int flock(int file, int operation)") as Flock);

const pollMs = 200;

const holderShape = /^process \d+ on [\w.-]{1,64} since [\d:T.Z-]+$/;

export type WaitOptions = {
  /** Called once before waiting for another holder. */
  readonly onWait?: ((holder: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
};

/**
 * `PATH.lock`, which says who holds it, under the system's own lock (flock; over NFS the server keeps it, so other machines heed it). A file
 * that a killed holder leaves behind locks nothing.
 */
export class FileLock {
  /** False where the file system has no locks: this one keeps nobody out. */
  readonly isExclusive: boolean;
  readonly #path: string;
  readonly #file: number;
  /** What this holder wrote into the file. */
  readonly #holder: string;

  private constructor(path: string, file: number, isExclusive: boolean) {
    this.isExclusive = isExclusive;
    this.#path = path;
    this.#file = file;
    this.#holder = writeHolder(file);
  }

  /** Throws a UserError that names the holder, or says why the file cannot be made. */
  static take(path: string): FileLock {
    const lock = FileLock.#try(path);
    if (lock instanceof FileLock) return lock;
    throw new UserError(`${path} is being written by ${lock}; wait for it, or stop it, then run the same command again`);
  }

  /** Waits for another holder to release the lock. Rejects with the signal's reason, or with a UserError when the file cannot be made. */
  static async wait(path: string, { onWait, signal }: WaitOptions): Promise<FileLock> {
    for (let hasWaited = false; ; hasWaited = true) {
      signal?.throwIfAborted();
      const lock = FileLock.#try(path);
      if (lock instanceof FileLock) return lock;
      if (!hasWaited) onWait?.(lock);
      await setTimeout(pollMs, undefined, { signal }).catch(() => {});
    }
  }

  /** The lock, or the name of its holder. */
  static #try(path: string): FileLock | string {
    const lockPath = `${path}.lock`;
    try {
      for (;;) {
        const file = openSync(lockPath, O_RDWR | O_CREAT | O_NOFOLLOW, 0o666);
        const errno = lock(file);
        // The last holder may have removed the file in between (ESTALE: on another machine): whoever comes next would lock another one.
        if (![EAGAIN, EINTR, ESTALE].includes(errno) && isStill(file, lockPath)) return new FileLock(lockPath, file, errno === 0);
        const holder = readHolder(file);
        closeSync(file);
        if (errno === EAGAIN) return holder;
      }
    } catch (error) {
      throw writeError(lockPath, error);
    }
  }

  /** False when the file was deleted, or another process has written into it: not every file system keeps locks between machines. */
  isIntact(): boolean {
    try {
      return isStill(this.#file, this.#path) && readText(this.#file) === this.#holder;
    } catch {
      return false;
    }
  }

  release(): void {
    try {
      if (this.isIntact()) unlinkSync(this.#path);
    } catch {
      // The folder cannot be written any more: the file that stays locks nothing.
    }
    closeSync(this.#file);
  }
}

/** 0 where it was locked, else the system's number of the reason. */
function lock(file: number): number {
  if (!flock) return ENOTSUP;
  return flock(file, exclusive | atOnce) === 0 ? 0 : koffi.errno();
}

function isStill(file: number, path: string): boolean {
  const [open, named] = [fstatSync(file, { bigint: true }), statSync(path, { bigint: true, throwIfNoEntry: false })];
  return named?.ino === open.ino && named.dev === open.dev;
}

/** Returns what is in the file then: nothing when the disk is full, which does not make the lock any weaker. */
function writeHolder(file: number): string {
  const holder = `process ${process.pid} on ${hostname()} since ${new Date().toISOString()}`;
  ftruncateSync(file);
  try {
    writeSync(file, holder, 0);
    return holder;
  } catch {
    return "";
  }
}

/** What the holder wrote; a system that locks the bytes, too, does not show it. */
function readHolder(file: number): string {
  try {
    const text = readText(file);
    return holderShape.test(text) ? text : "another process";
  } catch {
    return "another process";
  }
}

function readText(file: number): string {
  const bytes = Buffer.alloc(200);
  return bytes.toString("utf8", 0, readSync(file, bytes, 0, bytes.length, 0));
}
