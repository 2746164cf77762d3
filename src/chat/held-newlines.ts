// Newlines that may belong to the format of an answer: held until text follows them, in time linear in what comes.

export class HeldNewlines {
  #held = "";

  /** The text with what was held before it, up to its own last newlines. */
  push(text: string): string {
    let end = text.length;
    while (end > 0 && text[end - 1] === "\n") end--;
    if (end === 0) {
      this.#held += text;
      return "";
    }
    const shown = this.#held + text.slice(0, end);
    this.#held = text.slice(end);
    return shown;
  }

  /** What is held, to be shown or dropped. */
  take(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}
