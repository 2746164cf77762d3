// Schedules work on the threads that load pictures: clients take turns, and slow work runs apart from the rest.

import { RequestError } from "../core/errors.ts";
import { WorkGate } from "../core/work-gate.ts";

/** Two pictures of one request at a time; more threads would take cores from the model when it runs on the CPU. */
const threadCount = 2;
/** A third thread, for PDFs that take long while other work waits. */
const slowThreadCount = 1;
/** Bounds the memory of waiting pictures. */
const maxWaitingImages = 256;

export const maxThreads = threadCount + slowThreadCount;

/** The result of work that was interrupted. */
export const turnIsOver = Symbol("turn is over");

export class Turns {
  readonly #gate = new WorkGate(threadCount, maxWaitingImages);
  readonly #slowGate = new WorkGate(slowThreadCount, maxWaitingImages);
  readonly #slowRequests = new WeakSet<object>();

  /** True when work is waiting for a thread. */
  get hasQueue(): boolean {
    return this.#gate.hasQueue;
  }

  /**
   * Runs `work` on one of two threads. Work that may give way and was interrupted starts again on the third thread, and so does later such work of
   * the same request. Throws RequestError 429 when too many wait, and the signal's reason when it aborts while the work waits.
   */
  async run<T>(
    request: object | undefined,
    mayGiveWay: boolean,
    work: (givesWay: boolean) => Promise<T | typeof turnIsOver>,
    signal: AbortSignal,
  ): Promise<T> {
    const isSlow = () => mayGiveWay && request !== undefined && this.#slowRequests.has(request);
    const workInTurn = async () => {
      if (isSlow()) return turnIsOver; // the request has become slow while this work waited
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
  const message = `${maxWaitingImages} images are waiting to be decoded already; try again in a second`;
  throw new RequestError(message, { status: 429, code: "too_many_images_queued", retryAfterMs: 1000 });
}
