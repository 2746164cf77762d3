// The large files of a conversion. Several threads write their pieces, each at a planned offset.

import { closeSync, constants, fdatasync, fstatSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { assert } from "../core/errors.ts";
import { writeError, writing } from "../core/file-system.ts";

/** One write call takes less than 2^31 bytes. */
const maxPieceBytes = 2 ** 30;

export class DataFiles {
  /** Whether an earlier process had already created all files. */
  readonly wereComplete: boolean;
  readonly #files = new Map<string, { readonly path: string; readonly fd: number }>();

  /** Opens or creates each file at its final size. Throws a UserError when that fails. */
  constructor(folder: string, files: readonly { readonly name: string; readonly byteLength: number }[]) {
    let wereComplete = true;
    for (const { name, byteLength } of files) {
      const path = join(folder, name);
      const fd = writing(path, () => openSync(path, constants.O_RDWR | constants.O_CREAT, 0o666));
      this.#files.set(name, { path, fd });
      if (fstatSync(fd).size === byteLength) continue;
      wereComplete = false;
      writing(path, () => ftruncateSync(fd, byteLength));
    }
    this.wereComplete = wereComplete;
  }

  write(name: string, bytes: Uint8Array, offset: number): void {
    const file = this.#files.get(name);
    assert(file, `${name} is not a planned file`);
    for (let done = 0; done < bytes.length;) {
      const length = Math.min(bytes.length - done, maxPieceBytes);
      done += writing(file.path, () => writeSync(file.fd, bytes, done, length, offset + done));
    }
  }

  /** Resolves when everything written before the call is on disk. */
  async sync(): Promise<void> {
    for (const { path, fd } of this.#files.values()) {
      await promisify(fdatasync)(fd).catch((error: unknown) => {
        throw writeError(path, error);
      });
    }
  }

  /** Bytes that the files already occupy on disk. */
  get allocatedBytes(): number {
    return [...this.#files.values()].reduce((sum, { fd }) => sum + fstatSync(fd).blocks * 512, 0);
  }

  close(): void {
    for (const { fd } of this.#files.values()) closeSync(fd);
    this.#files.clear();
  }
}
