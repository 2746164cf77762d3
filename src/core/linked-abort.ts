// An AbortController that also aborts with a parent signal. AbortSignal.any would do, but Node 20 may collect what it returns
// while a fetch still waits for it; then nothing ever ends that fetch.

export class LinkedAbort {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #follow = (): void => this.#controller.abort(this.#parent.reason);

  readonly #aborted: Promise<never>;

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    this.#aborted = new Promise((_, reject) => {
      this.signal.addEventListener("abort", () => reject(this.signal.reason as Error), { once: true });
    });
    this.#aborted.catch(() => {}); // often nobody waits
    if (parent.aborted) this.#follow();
    else parent.addEventListener("abort", this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * What `work` gives, or the reason of the abort as soon as that comes. Node 20's fetch and its bodies follow their signal, but now and
   * then one that is aborted at a bad moment never settles.
   */
  race<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#aborted]);
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }

  /** Call it when the work is over: the parent may live on. */
  unlink(): void {
    this.#parent.removeEventListener("abort", this.#follow);
  }
}
