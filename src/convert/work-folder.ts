// The folder beside the target where a conversion writes its files. Its name stays the same, so that the conversion can be resumed; one
// process at a time owns it.

import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UserError } from "../core/errors.ts";
import { writing } from "../core/file-system.ts";
import { FileLock, type WaitOptions } from "../runtime/file-lock.ts";

/** `.NAME.partial` beside the target. */
export function workFolderPath(target: string): string {
  return join(dirname(target), `.${basename(target)}.partial`);
}

/** The owner holds the lock `.NAME.partial.lock`. */
export class WorkFolder {
  readonly path: string;
  /** Whether another process owned the folder at first. */
  readonly hasWaited: boolean;
  readonly #lock: FileLock;

  /** Waits until no other process owns the folder. Throws a UserError when it cannot be written. */
  static async claim(target: string, { onWait, signal }: WaitOptions = {}): Promise<WorkFolder> {
    const path = workFolderPath(target);
    let hasWaited = false;
    const lock = await FileLock.wait(path, {
      onWait: (holder) => {
        hasWaited = true;
        onWait?.(holder);
      },
      signal,
    });
    try {
      if (!existsSync(path)) refuseDeadLink(path);
      writing(path, () => mkdirSync(path, { recursive: true }));
      rmSync(removedPath(path), { recursive: true, force: true });
      writing(path, () => mkdirSync(removedPath(path), { recursive: true })); // now: `clear` may find the disk full
      return new WorkFolder(path, lock, hasWaited);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  private constructor(path: string, lock: FileLock, hasWaited: boolean) {
    this.path = path;
    this.hasWaited = hasWaited;
    this.#lock = lock;
  }

  /** Throws a UserError when another process has taken over, as happens where the file system has no locks between machines. */
  checkOwnership(): void {
    if (!this.#lock.isIntact()) throw new UserError(`${this.path}: another process has taken over this conversion; let it finish`);
  }

  /** Leaves the folder for the next process to resume. */
  release(): void {
    this.#lock.release();
  }

  /** Removes the folder and its content, unless another process owns it. */
  remove(): void {
    try {
      if (this.#lock.isIntact() && existsSync(this.path)) this.#removeAll();
    } finally {
      this.#lock.release();
    }
  }

  #removeAll(): void {
    this.clear();
    rmdirSync(removedPath(this.path));
    try {
      rmdirSync(this.path);
    } catch {
      // It is a link to a folder.
    }
  }

  /** Deletes the content. It is moved away first: the next process must not resume half of it if this one is killed meanwhile. */
  clear(): void {
    const removed = removedPath(this.path);
    for (const name of readdirSync(this.path)) {
      if (join(this.path, name) !== removed) renameSync(join(this.path, name), join(removed, name));
    }
    for (const name of readdirSync(removed)) rmSync(join(removed, name), { recursive: true });
  }
}

function removedPath(path: string): string {
  return join(path, "removed");
}

/** `path` does not exist: throws a UserError when it is a dangling symbolic link, because no folder can take its name. */
export function refuseDeadLink(path: string): void {
  const isLink = writing(path, () => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink());
  if (!isLink) return;
  throw new UserError(`${path}: expected a new or empty folder, got a broken symbolic link; delete it or choose another folder`);
}
