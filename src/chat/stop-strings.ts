// Watches an answer for stop strings and holds back what may be the beginning of one.

export class StopStrings {
  readonly #stops: readonly string[];
  /** Longest text that can be the beginning of a stop string without being one. */
  readonly #holdLimit: number;
  #held = "";
  #match: string | undefined;

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
    this.#holdLimit = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
  }

  /** True once a stop string has come; all later text is dropped. */
  get isStopped(): boolean {
    return this.#match !== undefined;
  }

  /** The stop string that has come. */
  get match(): string | undefined {
    return this.#match;
  }

  /** Text that is safe to show: no part of a stop string, however the answer goes on. */
  push(text: string): string {
    if (this.isStopped) return "";
    const seen = this.#held + text;
    this.#held = "";
    const found = this.#findStop(seen);
    if (found) {
      this.#match = found.stop;
      return seen.slice(0, found.start);
    }
    const safe = seen.length - this.#unsafeLength(seen);
    this.#held = seen.slice(safe);
    return seen.slice(0, safe);
  }

  /** The text held back, at the end of an answer that did not run into a stop string. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }

  /** The stop string that is complete first, the longest of several, and where it begins: the same however the text is cut. */
  #findStop(text: string): { readonly stop: string; readonly start: number } | undefined {
    let first: { stop: string; start: number; end: number } | undefined;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (!first || end < first.end || (end === first.end && start < first.start)) first = { stop, start, end };
    }
    return first;
  }

  #unsafeLength(text: string): number {
    for (let length = Math.min(this.#holdLimit, text.length); length > 0; length--) {
      const end = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.length > length && stop.startsWith(end))) return length;
    }
    return 0;
  }
}
