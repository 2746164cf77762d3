// Reads server-sent events off a connection, however the bytes are cut.

import { StringDecoder } from "node:string_decoder";

/** Longest event taken; a server that never ends one must not fill the memory. */
const maxEventCharacters = 16 * 2 ** 20;

/** Fields other than `data`, and comments, are skipped; an event that the end of the stream cuts off is dropped (HTML standard, 9.2). */
export class SseReader {
  // Keeps the bytes of a character that is cut.
  readonly #decoder = new StringDecoder("utf8");
  /** The line that has no end yet. It is not searched again, so that a long one takes no longer in pieces. */
  #rest = "";
  #data: string | undefined;

  /** The data of each event that these bytes complete. Throws an Error when an event has no end. */
  push(bytes: Buffer): string[] {
    const text = this.#decoder.write(bytes);
    const events: string[] = [];
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      const ended = this.#rest + text.slice(start, end);
      const line = ended.endsWith("\r") ? ended.slice(0, -1) : ended;
      start = end + 1;
      this.#rest = "";
      if (line !== "") this.#takeField(line);
      else if (this.#data !== undefined) {
        events.push(this.#data);
        this.#data = undefined;
      }
    }
    this.#rest += text.slice(start);
    if (this.#rest.length + (this.#data?.length ?? 0) > maxEventCharacters) {
      throw new Error(`an event of the stream has more than ${maxEventCharacters} characters`);
    }
    return events;
  }

  #takeField(line: string): void {
    if (!line.startsWith("data:")) return;
    const value = line.slice(line.startsWith("data: ") ? 6 : 5);
    this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
  }
}
