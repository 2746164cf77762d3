// The journal lists the finished jobs of a conversion, so that it can resume after its process was killed.

import { closeSync, existsSync, fdatasyncSync, ftruncateSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { writing } from "../core/file-system.ts";

/**
 *  <key>\n 0\n 3\n 1\n …
 *
 * The key is a hash of everything the result depends on. A line counts only if its newline is there: a crash may truncate the last one.
 */
export class Journal {
  /** Jobs that an earlier process finished. */
  done: ReadonlySet<number>;
  readonly #key: string;
  readonly #path: string;
  readonly #fd: number;
  #pending: number[] = [];

  /** Resumes the journal at `path` if it has this key, else starts a new one. */
  constructor(path: string, key: string) {
    this.#path = path;
    const text = existsSync(path) ? readFileSync(path, "latin1") : "";
    const complete = text.slice(0, text.lastIndexOf("\n") + 1);
    const [storedKey, ...jobs] = complete.split("\n");
    this.#key = key;
    this.#fd = writing(path, () => openSync(path, "a"));
    this.done = new Set(jobs.filter((line) => /^\d+$/.test(line)).map(Number));
    if (storedKey === key) writing(path, () => ftruncateSync(this.#fd, complete.length));
    else this.restart();
  }

  /** Clears the journal. */
  restart(): void {
    this.done = new Set();
    writing(this.#path, () => ftruncateSync(this.#fd, 0));
    this.#write([this.#key]);
  }

  /** Notes a job whose results are written, though perhaps not on disk yet. */
  add(job: number): void {
    this.#pending.push(job);
  }

  /** Writes the jobs added so far, after `syncData` has flushed their results to disk. */
  async flush(syncData: () => Promise<void>): Promise<void> {
    const jobs = this.#pending;
    if (jobs.length === 0) return;
    this.#pending = [];
    await syncData();
    this.#write(jobs);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #write(lines: readonly (string | number)[]): void {
    writing(this.#path, () => {
      // All or an error: a line appended to half a line would name a job that was never done.
      writeFileSync(this.#fd, Buffer.from(lines.map((line) => `${line}\n`).join("")));
      fdatasyncSync(this.#fd);
    });
  }
}
