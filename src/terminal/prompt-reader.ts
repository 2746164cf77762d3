// Reads messages of one or several lines from a terminal, with the keys and history of readline.

import { createInterface, type Interface, type Key } from "node:readline";
import { Writable } from "node:stream";
import { TypedKeys } from "./typed-keys.ts";

const prompt = "> ";
const furtherPrompt = "… ";

/** Bracketed paste: the terminal says where pasted text begins and ends, so that its line breaks send nothing. */
const pasteOn = "\u001b[?2004h";
const pasteOff = "\u001b[?2004l";

type Output = NodeJS.WritableStream & { readonly columns?: number };

export class PromptReader {
  readonly #output: Output;
  readonly #echo: Echo;
  readonly #interface: Interface;
  readonly #onInterrupt: () => void;
  /** Lines of a message whose end is still to come. */
  #held: string[] = [];
  #isPasting = false;
  /** Typed while nobody waited for them. */
  #messages: string[] = [];
  #take: ((message: string | undefined) => void) | undefined;
  #isClosed = false;
  #isAboutToLeave = false;

  /** `onInterrupt`: Ctrl-C or Ctrl-D while nobody waits for a message. */
  constructor(input: NodeJS.ReadableStream, output: Output, onInterrupt: () => void) {
    this.#output = output;
    this.#onInterrupt = onInterrupt;
    this.#echo = new Echo(output);
    const keys = new TypedKeys(input);
    this.#interface = createInterface({
      input: keys,
      output: this.#echo,
      terminal: true,
      prompt,
      removeHistoryDuplicates: true,
      historySize: 1000,
    });
    this.#interface
      .on("line", (line) => this.#readLine(line))
      .on("SIGINT", () => this.#interrupt())
      .on("SIGCONT", () => this.#goOn())
      .on("close", () => this.#end());
    keys.on("keypress", (_: string | undefined, key: Key | undefined) => {
      if (key?.name === "paste-start") this.#isPasting = true;
      if (key?.name === "paste-end") this.#isPasting = false;
    });
    output.write(pasteOn);
  }

  /** The next message; undefined once the person has left. */
  async next(): Promise<string | undefined> {
    const message = this.#messages.shift() ?? (await this.#wait());
    return this.#isClosed ? undefined : message; // a terminal that goes away sends the line that was begun
  }

  close(): void {
    this.#interface.close();
  }

  #wait(): Promise<string | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined);
    this.#echo.isMuted = false;
    this.#prompt();
    return new Promise((resolve) => (this.#take = resolve));
  }

  #prompt(): void {
    this.#interface.setPrompt(this.#held.length > 0 ? furtherPrompt : prompt);
    this.#interface.prompt(true);
  }

  #readLine(line: string): void {
    this.#isAboutToLeave = false;
    if (this.#isPasting || line.endsWith("\\")) {
      this.#held.push(this.#isPasting ? line : line.slice(0, -1));
      if (this.#take) this.#prompt();
      return;
    }
    const message = [...this.#held, line].join("\n");
    this.#held = [];
    this.#give(message);
  }

  #give(message: string | undefined): void {
    const take = this.#take;
    if (!take && message !== undefined) this.#messages.push(message);
    this.#take = undefined;
    this.#echo.isMuted = true; // else keys typed during an answer would appear in it
    take?.(message);
  }

  #interrupt(): void {
    if (!this.#take) {
      this.#messages = [];
      this.#onInterrupt();
    } else if (this.#held.length > 0 || this.#interface.line !== "") {
      this.#held = [];
      this.#interface.write(null, { ctrl: true, name: "e" });
      this.#interface.write(null, { ctrl: true, name: "u" });
      this.#prompt();
    } else if (this.#isAboutToLeave) this.close();
    else {
      this.#isAboutToLeave = true;
      this.#output.write("\nPress Ctrl-C again, or Ctrl-D, to leave.\n");
      this.#prompt();
    }
  }

  /** Back from Ctrl-Z: readline has stopped reading, and the shell may have changed how the terminal pastes. */
  #goOn(): void {
    this.#output.write(pasteOn);
    this.#interface.resume();
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#output.write(`${pasteOff}${this.#take ? "\n" : ""}`);
    if (!this.#take) this.#onInterrupt();
    this.#give(undefined);
  }
}

/** What readline shows of the keys. */
class Echo extends Writable {
  readonly #output: Output;
  isMuted = true;

  constructor(output: Output) {
    super({ decodeStrings: false });
    this.#output = output;
    output.on("resize", () => this.emit("resize"));
  }

  /** Of the terminal; readline wraps by it. */
  get columns(): number | undefined {
    return this.#output.columns;
  }

  override _write(text: string, _: BufferEncoding, done: () => void): void {
    if (!this.isMuted) this.#output.write(text);
    done();
  }
}
