// How fast bytes have been arriving lately, and when the rest will be there.

const windowMs = 15_000;

/** Remembers the last seconds, so that a pause shows and a fast start does not promise too much. */
export class TransferRate {
  readonly #samples: { timeMs: number; bytes: number }[] = [];

  /** `bytes` have arrived in total. Times never go back. */
  add(bytes: number, timeMs: number): void {
    const last = this.#samples.at(-1);
    // Thrown-away content is no negative speed: measuring starts anew.
    if (last && bytes < last.bytes) this.#samples.length = 0;
    this.#samples.push({ timeMs, bytes });
    while (this.#samples.length > 2 && this.#samples[1]!.timeMs <= timeMs - windowMs) this.#samples.shift();
  }

  /** Undefined until there is something to measure. */
  get bytesPerSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.timeMs === first.timeMs) return undefined;
    return ((last.bytes - first.bytes) * 1000) / (last.timeMs - first.timeMs);
  }
}
