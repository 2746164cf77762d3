// The folder beside the target where a conversion writes its files. Its name stays the same, so that the conversion can be resumed; one
// process at a time owns it.

import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { UserError } from "../core/errors.ts";
import { refuseDeadLink, writeError } from "./file-errors.ts";

const heartbeatMs = 5_000;
/** An owner without a heartbeat for this long counts as dead, on whatever machine it ran. */
const lifelessAfterMs = 60_000;
const pollMs = 200;

// A process id is unique only on one machine or in one container, and processes in containers often have the same id.
const thisHost = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
const thisProcess = randomBytes(8).toString("hex");

type Owner = { readonly host: string; readonly processId: number; readonly process: string };

export type ClaimOptions = {
  /** Called once before waiting for another process that owns the folder. */
  readonly onWait?: ((processId: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
};

/** `.NAME.partial` beside the target. */
export function workFolderPath(target: string): string {
  return join(dirname(target), `.${basename(target)}.partial`);
}

/**
 * Ownership is a file `owner-N`, which the owner touches every few seconds. A process takes over from a dead owner N by creating
 * `owner-N+1`, which only one process can do.
 */
export class WorkFolder {
  readonly path: string;
  /** Whether another process owned the folder at first. */
  readonly hasWaited: boolean;
  readonly #number: number;
  readonly #file: string;
  readonly #heartbeat: NodeJS.Timeout;

  /** Waits until no other process owns the folder. Throws a UserError when it cannot be written. */
  static async claim(target: string, { onWait, signal }: ClaimOptions = {}): Promise<WorkFolder> {
    const path = workFolderPath(target);
    for (let hasWaited = false; ;) {
      signal?.throwIfAborted();
      makeFolder(path);
      const number = latestOwner(path);
      if (number === undefined || isLifeless(path, number)) {
        const claimed = tryClaim(path, (number ?? 0) + 1, hasWaited);
        if (claimed) return claimed;
        continue;
      }
      if (!hasWaited) onWait?.(readOwner(path, number)?.processId ?? 0);
      hasWaited = true;
      await setTimeout(pollMs, undefined, signal ? { signal } : {}).catch(() => {});
    }
  }

  constructor(path: string, number: number, hasWaited: boolean) {
    this.path = path;
    this.hasWaited = hasWaited;
    this.#number = number;
    this.#file = ownerPath(path, number);
    this.#heartbeat = setInterval(() => this.#touch(), heartbeatMs).unref();
  }

  /** Throws a UserError when another process took over because this one seemed dead. */
  checkOwnership(): void {
    if (!this.#isOwner()) throw new UserError(`${this.path}: another process has taken over this conversion; let it finish`);
  }

  /** Leaves the folder for the next process to resume. */
  release(): void {
    clearInterval(this.#heartbeat);
    if (this.#isOwner()) rmSync(this.#file, { force: true });
  }

  /** Removes the folder and its content, unless another process owns it. */
  remove(): void {
    clearInterval(this.#heartbeat);
    if (!this.#isOwner()) return;
    // Deleting may take longer than a process counts as alive without heartbeats, so the files are first moved out of the way of a process that
    // takes over. If this process is killed, the next one removes them.
    for (const name of readdirSync(this.path)) {
      if (name === basename(this.#file) || name.startsWith("removed-")) continue;
      renameSync(join(this.path, name), join(this.path, `removed-${this.#number}-${name}`));
    }
    for (const name of readdirSync(this.path)) {
      if (name.startsWith("removed-")) rmSync(join(this.path, name), { recursive: true, force: true });
    }
    removeEmpty(this.path, this.#file);
  }

  #isOwner(): boolean {
    return latestOwner(this.path) === this.#number && readOwner(this.path, this.#number)?.process === thisProcess;
  }

  #touch(): void {
    try {
      const now = new Date();
      utimesSync(this.#file, now, now);
    } catch {
      // Somebody removed the file; checkOwnership reports it.
    }
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw writeError(path, error);
  }
}

function tryClaim(path: string, number: number, hasWaited: boolean): WorkFolder | undefined {
  const owner: Owner = { host: thisHost, processId: process.pid, process: thisProcess };
  const file = ownerPath(path, number);
  try {
    writeFileSync(file, JSON.stringify(owner), { flag: "wx" });
    return new WorkFolder(path, number, hasWaited);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") refuseDeadLink(path);
    // Another process claimed it first, or removed the folder.
    if (code === "EEXIST" || code === "ENOENT") return undefined;
    removeEmpty(path, file); // what was made before a disk was full
    throw writeError(file, error);
  }
}

/** Removes the owner's file, and the folder unless another process has claimed it. */
function removeEmpty(path: string, ownerFile: string): void {
  try {
    rmSync(ownerFile, { force: true });
    rmdirSync(path);
  } catch {
    // It is not empty, or not a folder.
  }
}

function ownerPath(path: string, number: number): string {
  return join(path, `owner-${number}`);
}

function latestOwner(path: string): number | undefined {
  try {
    const numbers = readdirSync(path).flatMap((name) => (/^owner-\d+$/.test(name) ? [Number(name.slice(6))] : []));
    return numbers.length === 0 ? undefined : Math.max(...numbers);
  } catch {
    return undefined; // the folder is gone
  }
}

function readOwner(path: string, number: number): Owner | undefined {
  try {
    return JSON.parse(readFileSync(ownerPath(path, number), "utf8")) as Owner;
  } catch {
    return undefined; // about to be written, or gone
  }
}

function isLifeless(path: string, number: number): boolean {
  const stat = statSync(ownerPath(path, number), { throwIfNoEntry: false });
  if (!stat || Date.now() - stat.mtimeMs > lifelessAfterMs) return true;
  const owner = readOwner(path, number);
  if (owner?.host !== thisHost) return false;
  return owner.processId === process.pid ? owner.process !== thisProcess : !isAlive(owner.processId);
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
