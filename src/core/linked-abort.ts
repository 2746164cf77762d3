// An AbortController that also aborts with a parent signal. AbortSignal.any would do, but Node 20 may collect what it returns
// while a fetch still waits for it; then nothing ever ends that fetch.

export class LinkedAbort {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #follow = (): void => this.#controller.abort(this.#parent.reason);

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    if (parent.aborted) this.#follow();
    else parent.addEventListener("abort", this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * What `work` gives, or the reason of the abort as soon as that comes. Node 20's fetch and its bodies follow their signal, but now and
   * then one that is aborted at a bad moment never settles. (Promise.race would keep all that was ever given until the abort.)
   */
  race<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const leave = (): void => reject(this.signal.reason as Error);
      if (this.signal.aborted) leave();
      else this.signal.addEventListener("abort", leave, { once: true });
      const settle = (): void => this.signal.removeEventListener("abort", leave);
      work.then(resolve, reject).finally(settle);
    });
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }

  /** Call it when the work is over: the parent may live on. */
  unlink(): void {
    this.#parent.removeEventListener("abort", this.#follow);
  }
}
