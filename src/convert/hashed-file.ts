// One file that is hashed while it is written.

import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { UserError } from "../core/errors.ts";

const bufferBytes = 4 * 2 ** 20;
/** One write or hash call takes less than 2^31 bytes. */
const maxPieceBytes = 2 ** 30;

export type FileDigest = { readonly bytes: number; readonly sha256: string };

export class HashedFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #hash = createHash("sha256");
  readonly #buffer = Buffer.allocUnsafe(bufferBytes);
  #bufferedBytes = 0;
  #bytes = 0;

  /** The file must not exist. Throws a UserError when it cannot be created. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = writing(path, () => openSync(path, "wx"));
  }

  /** Appends. Usable as a plain function. Throws a UserError when the disk refuses. */
  readonly write = (chunk: Uint8Array): void => {
    this.#bytes += chunk.length;
    if (this.#bufferedBytes + chunk.length > bufferBytes) this.#flush();
    if (chunk.length > bufferBytes) return this.#emit(chunk);
    this.#buffer.set(chunk, this.#bufferedBytes);
    this.#bufferedBytes += chunk.length;
  };

  /** Brings everything to the disk. */
  finish(): FileDigest {
    this.#flush();
    writing(this.#path, () => fsyncSync(this.#fd));
    this.abandon();
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }

  /** Closes the file as it is. */
  abandon(): void {
    closeSync(this.#fd);
  }

  #flush(): void {
    this.#emit(this.#buffer.subarray(0, this.#bufferedBytes));
    this.#bufferedBytes = 0;
  }

  #emit(bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length; start += maxPieceBytes) {
      const piece = bytes.subarray(start, start + maxPieceBytes);
      this.#hash.update(piece);
      for (let done = 0; done < piece.length;) done += writing(this.#path, () => writeSync(this.#fd, piece, done));
    }
  }
}

/** Runs a file system call that changes `path`; its failure becomes a UserError. */
export function writing<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw writeError(path, error);
  }
}

export function writeError(path: string, error: unknown): UserError {
  const { code, message } = error as NodeJS.ErrnoException;
  const advice = code === "ENOSPC" ? "free disk space or choose another folder" : "check the folder and its permissions";
  return new UserError(`cannot write ${path}: ${message}; ${advice}`, { cause: error });
}
