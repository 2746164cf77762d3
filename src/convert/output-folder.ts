// Complete-or-nothing output: files gather in a hidden folder beside the target, which takes the target's name when all are on the disk.

import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { assert, UserError } from "../core/errors.ts";
import { manifestFileName, manifestFormat, type Manifest } from "../core/manifest.ts";
import { HashedFile, writeError, writing, type FileDigest } from "./hashed-file.ts";
import { removeLeftovers, temporaryPath } from "./temporary-folder.ts";

const copyBytes = 4 * 2 ** 20;
/** Each further attempt means that another process finished in the moment between. */
const maxAttempts = 20;

export type OutputOptions = {
  /** Replace an earlier conversion in the target folder. */
  readonly overwrite: boolean;
};

export type OutputFile = { readonly write: (chunk: Uint8Array) => void; readonly close: () => void };

/**
 * Ends with `commit` or `discard`. A process that exits in between (`process.exit` in a signal handler, an uncaught error)
 * discards; what a killed process leaves is removed by the next conversion to the same target.
 */
export class OutputFolder {
  readonly #target: string;
  readonly #overwrite: boolean;
  readonly #folder: string;
  readonly #digests: Record<string, FileDigest> = {};
  readonly #openFiles = new Map<string, HashedFile>();
  #isPending = true;
  readonly #onExit = (): void => this.discard();

  /** Throws a UserError when the target holds something that may not be replaced, or cannot be written. */
  static create(target: string, options: OutputOptions): OutputFolder {
    return new OutputFolder(existsSync(target) ? realpathSync(target) : resolve(target), options);
  }

  private constructor(target: string, { overwrite }: OutputOptions) {
    this.#target = target;
    this.#overwrite = overwrite;
    refuseOccupied(target, overwrite);
    writing(target, () => mkdirSync(dirname(target), { recursive: true }));
    refuseMountPoint(target);
    removeLeftovers(target);
    this.#folder = temporaryPath(target);
    writing(this.#folder, () => mkdirSync(this.#folder));
    process.once("exit", this.#onExit);
  }

  /** A file of the folder, to be closed before `commit`. */
  createFile(name: string): OutputFile {
    assert(!/[/\\]/.test(name) && name !== manifestFileName, `${name} is not the name of a file in a model folder`);
    const file = new HashedFile(join(this.#folder, name));
    this.#openFiles.set(name, file);
    const close = (): void => {
      this.#digests[name] = file.finish();
      this.#openFiles.delete(name);
    };
    return { write: file.write, close };
  }

  addFile(name: string, bytes: Uint8Array): void {
    const file = this.createFile(name);
    file.write(bytes);
    file.close();
  }

  copyFile(name: string, from: string): void {
    const file = this.createFile(name);
    const fd = openSync(from, "r");
    try {
      const buffer = Buffer.allocUnsafe(copyBytes);
      for (let count; (count = readSync(fd, buffer)) > 0;) file.write(buffer.subarray(0, count));
    } finally {
      closeSync(fd);
    }
    file.close();
  }

  /**
   * Writes the manifest and moves everything into place. Throws a UserError when another process has put something else there
   * meanwhile; the same conversion by another process is as good as ours.
   */
  commit(manifest: Omit<Manifest, "files">): void {
    assert(this.#openFiles.size === 0, `${[...this.#openFiles.keys()].join(", ")} not closed`);
    const path = join(this.#folder, manifestFileName);
    writing(path, () => {
      writeFileSync(path, encodeManifest({ ...manifest, files: this.#digests }), { flush: true });
      syncFolder(this.#folder);
    });
    this.#moveIntoPlace();
    this.discard(); // what is left under the temporary name: nothing, or what another process has finished as well
    writing(this.#target, () => syncFolder(dirname(this.#target)));
  }

  /** Removes what was written so far. Does nothing after `commit`. */
  discard(): void {
    if (!this.#isPending) return;
    this.#isPending = false;
    process.removeListener("exit", this.#onExit);
    for (const file of this.#openFiles.values()) file.abandon();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #moveIntoPlace(): void {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      try {
        return renameSync(this.#folder, this.#target);
      } catch (error) {
        if (!isOccupied(error)) throw writeError(this.#target, error);
      }
      if (!this.#overwrite && hasSameManifest(this.#folder, this.#target)) return;
      refuseOccupied(this.#target, this.#overwrite);
      removeFolder(this.#target);
    }
    throw new UserError(`cannot write ${this.#target}: other processes keep replacing it; stop them or choose another folder`);
  }
}

/** Byte-deterministic: keys are sorted at every level. */
export function encodeManifest(manifest: Manifest): string {
  const sortKeys = (_key: string, value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return `${JSON.stringify(manifest, sortKeys, 2)}\n`;
}

function refuseOccupied(target: string, overwrite: boolean): void {
  if (!existsSync(target)) return;
  if (!statSync(target).isDirectory()) throw new UserError(`${target}: expected a new or empty folder, got a file; choose another folder`);
  if (readdirSync(target).length === 0) return;
  if (!isConversion(target))
    throw new UserError(`${target}: expected a new or empty folder, got one with other files; choose another folder`);
  if (!overwrite) {
    throw new UserError(`${target}: expected a new or empty folder, got a converted model; choose another folder or pass --overwrite`);
  }
}

/** A folder cannot take the name of a mounted one, and the end of a long conversion would be a bad moment to learn it. */
function refuseMountPoint(target: string): void {
  if (existsSync(target) && statSync(target).dev !== statSync(dirname(target)).dev) {
    throw new UserError(`${target}: expected a folder that can be replaced, got a mount point; choose a folder inside it`);
  }
}

function isConversion(folder: string): boolean {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(folder, manifestFileName), "utf8"));
    return (manifest as Partial<Manifest> | null)?.format === manifestFormat;
  } catch {
    return false;
  }
}

function hasSameManifest(a: string, b: string): boolean {
  try {
    return readFileSync(join(a, manifestFileName)).equals(readFileSync(join(b, manifestFileName)));
  } catch {
    return false;
  }
}

/** Frees the name at once, the space afterwards. */
function removeFolder(folder: string): void {
  const aside = temporaryPath(folder);
  try {
    renameSync(folder, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return; // another process was faster
    throw writeError(folder, error);
  }
  rmSync(aside, { recursive: true, force: true });
}

function isOccupied(error: unknown): boolean {
  return ["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  fsyncSync(fd);
  closeSync(fd);
}
