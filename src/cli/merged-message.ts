// Requests whose body arrives in many small chunks.

import { IncomingMessage } from "node:http";

/** Larger ones are handed on as they are. */
const smallBytes = 1024;

/**
 * Hands on small chunks that arrived together in one piece. A packet can hold ten thousand chunks of one byte, and web streams take nearly 10 µs
 * for each piece: sixteen connections would keep all other clients waiting for seconds.
 */
export class MergedMessage extends IncomingMessage {
  #chunks: Buffer[] = [];
  #length = 0;

  /** Node's parser calls it with each chunk, and with null at the end. Returns whether more may come. */
  override push(chunk: Buffer | null): boolean {
    if (chunk === null || chunk.length > smallBytes) {
      this.#handOn();
      return super.push(chunk);
    }
    if (this.#chunks.push(chunk) === 1) setImmediate(() => this.#handOn());
    this.#length += chunk.length;
    return this.readableLength + this.#length < this.readableHighWaterMark;
  }

  #handOn(): void {
    if (this.#length > 0) super.push(Buffer.concat(this.#chunks, this.#length));
    this.#chunks = [];
    this.#length = 0;
  }
}
