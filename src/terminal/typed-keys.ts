// A terminal's keys for readline, which gets text that arrives at once in one piece.

import { emitKeypressEvents, type Key } from "node:readline";
import { Readable } from "node:stream";

type Input = NodeJS.ReadableStream & { setRawMode?(isRaw: boolean): unknown };

/**
 * Takes the place of the terminal's input. The words of an input method and pasted texts arrive in one chunk. readline would take it apart and lose
 * track of the line's height (also in Node 22); in Node 20 it would put all characters but the last at the end of the line, wherever the cursor is.
 */
export class TypedKeys extends Readable {
  readonly #input: Input;
  #text = "";

  constructor(input: Input) {
    super();
    this.#input = input;
    input.on("keypress", (text: string | undefined, key: Key) => this.#take(text, key));
    emitKeypressEvents(input);
    input.on("data", () => this.#giveText()); // after all keys of the chunk
    input.on("end", () => this.emit("end"));
  }

  setRawMode(isRaw: boolean): void {
    this.#input.setRawMode?.(isRaw);
  }

  override pause(): this {
    this.#input.pause();
    return this;
  }

  override resume(): this {
    this.#input.resume();
    return this;
  }

  /** There are keys, but no data. */
  override _read(): void {}

  #take(text: string | undefined, key: Key): void {
    if (text !== undefined && !key.ctrl && !key.meta && !/\p{Cc}/u.test(text)) {
      this.#text += text;
      return;
    }
    this.#giveText();
    this.emit("keypress", text, key);
  }

  #giveText(): void {
    const text = this.#text;
    this.#text = "";
    if (text !== "") this.emit("keypress", text);
  }
}
