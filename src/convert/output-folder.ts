// All-or-nothing output: files are written to a work folder beside the target, which is renamed to the target when all are on disk.
// A stopped conversion can be resumed; a failed one leaves nothing.

import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { assert, UserError } from "../core/errors.ts";
import { makeFolders, writing } from "../core/file-system.ts";
import { manifestFileName, manifestFormat, type Manifest } from "../core/manifest.ts";
import type { WaitOptions } from "../runtime/file-lock.ts";
import type { FileDigest } from "./hash-file.ts";
import { Journal } from "./journal.ts";
import { refuseDeadLink, WorkFolder } from "./work-folder.ts";

/** Whether to replace an earlier conversion in the target folder. "anything": or whatever else is there, such as a conversion too damaged to be recognized. */
export type Overwrite = boolean | "anything";

type OutputOptions = WaitOptions & {
  readonly overwrite: Overwrite;
  /** A hash of everything the result depends on: work with another key is not resumed. */
  readonly key: string;
};

/** The real path of a target folder. Throws a UserError when it holds something that may not be replaced, or cannot be written. */
export function prepareTarget(target: string, overwrite: Overwrite): string {
  const path = existsSync(target) ? realpathSync(target) : resolve(target);
  refuseDeadLink(path);
  refuseOccupied(path, overwrite);
  writing(path, () => makeFolders(dirname(path)));
  refuseMountPoint(path);
  return path;
}

/** End with `commit`, `discard` or `leave`; a killed process acts like `leave`. */
export class OutputFolder {
  /** The work folder; all files are written directly into it. */
  readonly folder: string;
  readonly journal: Journal;
  readonly #target: string;
  /** Where the earlier conversion goes that this one replaces. */
  readonly #replaced: string;
  readonly #overwrite: Overwrite;
  readonly #work: WorkFolder;
  #isPending = true;

  /**
   * Waits while another process converts to the same target. Throws a UserError when the target holds something that may not be
   * replaced, or cannot be written.
   */
  static async open(target: string, options: OutputOptions): Promise<OutputFolder> {
    const path = prepareTarget(target, options.overwrite);
    const work = await WorkFolder.claim(path, options);
    try {
      return new OutputFolder(path, work, options);
    } catch (error) {
      work.remove();
      throw error;
    }
  }

  private constructor(target: string, work: WorkFolder, { overwrite, key }: OutputOptions) {
    this.#target = target;
    this.#overwrite = overwrite;
    this.#work = work;
    this.folder = join(work.path, "output");
    this.#replaced = join(work.path, "replaced");
    // The last process was killed between the two renames of `commit`.
    if (existsSync(this.#replaced) && !existsSync(target)) writing(target, () => renameSync(this.#replaced, target));
    this.journal = new Journal(join(work.path, "journal"), key);
    if (this.journal.done.size === 0) rmSync(this.folder, { recursive: true, force: true });
    writing(this.folder, () => mkdirSync(this.folder, { recursive: true }));
  }

  addFile(name: string, bytes: Uint8Array): void {
    assert(!/[/\\]/.test(name) && name !== manifestFileName, `${name} is not the name of a file in a model folder`);
    const path = join(this.folder, name);
    writing(path, () => writeFileSync(path, bytes, { flush: true }));
  }

  /** Writes the jobs that were added to the journal, after `syncData` has flushed their results to disk. */
  async recordJobs(syncData: () => Promise<void>): Promise<void> {
    await this.journal.flush(async () => {
      await syncData();
      // Another process that has taken over may have deleted these results, but shares the journal.
      this.#work.checkOwnership();
    });
  }

  /**
   * Whether the process that this one waited for has finished the same conversion. Throws a UserError when that process left another
   * conversion in the target that may not be replaced.
   */
  isDoneByOther(manifest: Omit<Manifest, "files">): boolean {
    if (!this.#work.hasWaited) return false;
    const found = readConversion(this.#target);
    if (found && encodeManifest({ ...found, files: {} }) === encodeManifest({ ...manifest, files: {} })) return true;
    refuseOccupied(this.#target, this.#overwrite);
    return false;
  }

  /** Writes the manifest and moves everything into place. */
  commit(manifest: Omit<Manifest, "files">, files: Readonly<Record<string, FileDigest>>): void {
    this.#work.checkOwnership();
    const path = join(this.folder, manifestFileName);
    writing(path, () => {
      writeFileSync(path, encodeManifest({ ...manifest, files }), { flush: true });
      syncFolder(this.folder);
    });
    refuseOccupied(this.#target, this.#overwrite);
    writing(this.#target, () => {
      // Between this line and the next one the target does not exist. The old folder is removed with the work folder.
      if (existsSync(this.#target)) renameSync(this.#target, this.#replaced);
      renameSync(this.folder, this.#target);
      syncFolder(dirname(this.#target));
    });
    this.discard();
  }

  /** Removes what was written so far. Does nothing after `commit` or `leave`. */
  discard(): void {
    if (!this.#isPending) return;
    this.#isPending = false;
    this.journal.close();
    this.#work.remove();
  }

  /** Keeps what was written so far, for the next conversion to resume. */
  leave(): void {
    if (!this.#isPending) return;
    this.#isPending = false;
    this.journal.close();
    this.#work.release();
  }
}

/** The manifest as JSON. The same manifest gives the same bytes: keys are sorted at every level. */
export function encodeManifest(manifest: Manifest): string {
  const sortKeys = (_key: string, value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return `${JSON.stringify(manifest, sortKeys, 2)}\n`;
}

function refuseOccupied(target: string, overwrite: Overwrite): void {
  if (overwrite === "anything" || !existsSync(target)) return;
  if (!statSync(target).isDirectory()) throw new UserError(`${target}: expected a new or empty folder, got a file; choose another folder`);
  if (readdirSync(target).length === 0) return;
  if (!readConversion(target))
    throw new UserError(`${target}: expected a new or empty folder, got one with other files; choose another folder`);
  if (!overwrite) {
    throw new UserError(`${target}: expected a new or empty folder, got a converted model; choose another folder or pass --overwrite`);
  }
}

/** Nothing can be renamed onto a mount point; the end of a long conversion would be a bad moment to learn that. */
function refuseMountPoint(target: string): void {
  if (existsSync(target) && statSync(target).dev !== statSync(dirname(target)).dev) {
    throw new UserError(`${target}: expected a folder that can be replaced, got a mount point; choose a folder inside it`);
  }
}

/** The manifest of a converted model, of any version; undefined when the folder does not hold one. */
function readConversion(folder: string): Manifest | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, manifestFileName), "utf8")) as Partial<Manifest> | null;
    return manifest?.format === manifestFormat ? (manifest as Manifest) : undefined;
  } catch {
    return undefined;
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  fsyncSync(fd);
  closeSync(fd);
}
