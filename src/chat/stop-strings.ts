// Finds stop strings in an answer, and holds back text that may be the beginning of one.

export class StopStrings {
  readonly #stops: readonly string[];
  /** The length of the longest incomplete beginning of a stop string. */
  readonly #holdLimit: number;
  #held = "";
  #match: string | undefined;

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
    this.#holdLimit = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
  }

  /** True once a stop string was found. All later text is dropped. */
  get isStopped(): boolean {
    return this.#match !== undefined;
  }

  /** The stop string that was found. */
  get match(): string | undefined {
    return this.#match;
  }

  /** The text that is safe to show: it cannot be part of a stop string, however the answer continues. */
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

  /** The text held back, at the end of an answer without a stop string. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }

  /** The stop string that ends first (the longest, if several end there) and where it begins. Does not depend on how the text is cut. */
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
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
