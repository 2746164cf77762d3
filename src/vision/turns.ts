// Who has a thread when: what comes first, but what takes long apart from the rest.

import { RequestError } from "../core/errors.ts";
import { WorkGate } from "../core/work-gate.ts";

/** Two pictures of one request at a time; more threads would take cores from the model when it runs on the CPU. */
const threadCount = 2;
/** For PDFs that take long while others wait, on a third. */
const slowThreadCount = 1;
/** Bounds what waiting pictures may hold in memory. */
const maxWaitingImages = 256;

export const maxThreads = threadCount + slowThreadCount;

/** What work gives that did not come to its end. */
export const turnIsOver = Symbol("turn is over");

export class Turns {
  readonly #gate = new WorkGate(threadCount, maxWaitingImages);
  readonly #slowGate = new WorkGate(slowThreadCount, maxWaitingImages);
  readonly #slowRequests = new WeakSet<object>();

  /** True when others wait for a thread, and would have that of work that gives way. */
  get hasQueue(): boolean {
    return this.#gate.hasQueue;
  }

  /**
   * What `work` gives, on one of two threads. Work that may give way, and did, begins anew on the third, and there begins what else may give way
   * of its request. Throws RequestError 429 when too many wait, and the signal's reason when it aborts before the turn has come.
   */
  async run<T>(
    request: object | undefined,
    mayGiveWay: boolean,
    work: (givesWay: boolean) => Promise<T | typeof turnIsOver>,
    signal: AbortSignal,
  ): Promise<T> {
    const isSlow = () => mayGiveWay && request !== undefined && this.#slowRequests.has(request);
    const workInTurn = async () => {
      if (isSlow()) return turnIsOver; // it has become so while this waited
      const result = await work(mayGiveWay);
      if (result === turnIsOver && request) this.#slowRequests.add(request);
      return result;
    };
    const result = isSlow() ? turnIsOver : await admit(this.#gate, workInTurn, signal);
    return (result === turnIsOver ? await admit(this.#slowGate, () => work(false), signal) : result) as T;
  }
}

function admit<T>(gate: WorkGate, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  if (!gate.isFull) return gate.run(work, signal);
  const message = `${maxWaitingImages} images wait to be decoded already; try again in a second`;
  throw new RequestError(message, { status: 429, code: "too_many_images_queued", retryAfterMs: 1000 });
}
