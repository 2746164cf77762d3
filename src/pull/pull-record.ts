// What earlier pulls put into a folder: later ones trust a file of the same size, time and hash instead of reading 59 GB again.

import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../core/errors.ts";
import type { RemoteFile } from "./repository-files.ts";

// Not *.json: those of a checkpoint folder decide what it is converted to.
export const recordFileName = ".ernie-vl-pull";

const recordShape = z.object({
  repository: z.string(),
  files: z.record(z.string().regex(/^\w[\w.-]*$/), z.object({ bytes: z.number(), mtimeMs: z.number(), hash: z.string() })),
});

export class PullRecord {
  readonly #folder: string;
  readonly #repository: string;
  readonly #lock: () => void;
  readonly #files: Map<string, { bytes: number; mtimeMs: number; hash: string }>;

  /** Throws a UserError when the folder holds another repository. `lock` is called before each change of the folder. */
  constructor(folder: string, repository: string, lock: () => void) {
    this.#folder = folder;
    this.#repository = repository;
    this.#lock = lock;
    const known = readRecord(join(folder, recordFileName));
    if (known && known.repository !== repository) {
      throw new UserError(`${folder} already contains ${known.repository}; choose another folder for ${repository} with --out`);
    }
    this.#files = new Map(Object.entries(known?.files ?? {}));
  }

  /** Whether the local file has the content wanted; undefined when that was never verified or the file has been touched since. */
  matches({ name, hash }: RemoteFile): boolean | undefined {
    return this.#isUntouched(name) ? this.#files.get(name)?.hash === hash.hex : undefined;
  }

  /** Notes that the local file was verified, and writes that down. */
  add({ name, hash }: RemoteFile): void {
    const { size, mtimeMs } = statSync(join(this.#folder, name));
    this.#files.set(name, { bytes: size, mtimeMs, hash: hash.hex });
    this.#save();
  }

  /** Deletes what earlier pulls fetched and the repository no longer has: an old `model.safetensors` would hide new shards. */
  removeOutdated(files: readonly RemoteFile[]): string[] {
    const wanted = new Set(files.map(({ name }) => name));
    const outdated = [...this.#files.keys()].filter((name) => !wanted.has(name));
    if (outdated.length === 0) return [];
    this.#lock();
    const removed = outdated.filter((name) => this.#isUntouched(name));
    for (const name of removed) rmSync(join(this.#folder, name), { force: true });
    for (const name of outdated) this.#files.delete(name);
    this.#save();
    return removed;
  }

  #isUntouched(name: string): boolean {
    const known = this.#files.get(name);
    const stored = statSync(join(this.#folder, name), { throwIfNoEntry: false });
    return known !== undefined && stored?.size === known.bytes && stored.mtimeMs === known.mtimeMs;
  }

  #save(): void {
    this.#lock();
    const path = join(this.#folder, recordFileName);
    const unfinished = `${path}.new`;
    writeFileSync(unfinished, `${JSON.stringify({ repository: this.#repository, files: Object.fromEntries(this.#files) }, null, 2)}\n`);
    renameSync(unfinished, path);
  }
}

/** A record that cannot be read is none: files are hashed again then. */
function readRecord(path: string): z.infer<typeof recordShape> | undefined {
  try {
    return recordShape.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined;
  }
}
