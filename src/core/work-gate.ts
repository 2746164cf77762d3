// Bounds how much of one kind of work runs at a time and how much waits for its turn.

export class WorkGate {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  #runningCount = 0;
  /** In order of arrival; calling one lets its work in. */
  readonly #waiting = new Set<() => void>();

  constructor(maxRunning: number, maxWaiting: number) {
    this.#maxRunning = maxRunning;
    this.#maxWaiting = maxWaiting;
  }

  /** True when work that comes now should be turned away. */
  get isFull(): boolean {
    return this.#runningCount >= this.#maxRunning && this.#waiting.size >= this.#maxWaiting;
  }

  /** True when work waits for its turn. */
  get hasQueue(): boolean {
    return this.#waiting.size > 0;
  }

  /** What `work` gives, run when its turn has come. A signal that aborts before that takes it out of the queue; the reason is thrown. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#runningCount < this.#maxRunning) this.#runningCount++;
    else await this.#takeTurn(signal);
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  #takeTurn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.delete(enter);
        reject(signal?.reason as Error);
      };
      this.#waiting.add(enter);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  /** The next in the queue takes the place of the work that ended. */
  #passOn(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#runningCount--;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
