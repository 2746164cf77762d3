// Refuses requests that can never run, and those for which the queue is full.

import type { ModelRunner } from "../core/batch.ts";
import { RequestError } from "../core/errors.ts";
import type { EngineRequest } from "./engine-protocol.ts";

/** Bounds of the Retry-After of a refused request. Clients ignore more than a minute. */
const retryMs = { least: 1000, most: 60_000 };

/** Weight of the newest sample in the moving average of run times. */
const newestShare = 0.2;

/** How many answers run and wait now. */
type Load = { readonly running: number; readonly waiting: number; readonly isClientWaiting: boolean };

export class QueueLimit {
  readonly #model: Pick<ModelRunner, "slotCount" | "slotCapacity">;
  readonly #maxWaiting: number;
  /** Moving average of the milliseconds from a sequence's first slot to its end. */
  #meanRunMs = 0;

  constructor(model: Pick<ModelRunner, "slotCount" | "slotCapacity">, maxWaiting: number) {
    this.#model = model;
    this.#maxWaiting = maxWaiting;
  }

  /** Throws RequestError if the request can never fit or if the queue is full. `isClientWaiting`: whether its client has answers in the queue. */
  check(request: EngineRequest, load: Load): void {
    const promptLength = request.prompt.tokenIds.length;
    const { slotCapacity } = this.#model;
    if (promptLength + 1 > slotCapacity) {
      throw new RequestError(
        `the prompt is too long: it has ${promptLength} tokens, and the context of ${slotCapacity} tokens has room for ${slotCapacity - 1} ` +
          "and an answer; shorten it or start the server with a larger --max-model-len",
        { code: "context_length_exceeded", param: "messages" },
      );
    }
    if (this.#hasRoomFor(request, load)) return;
    throw new RequestError(`${load.waiting} answers are waiting already, and the queue is for ${this.#maxWaiting}; try again later`, {
      status: 429,
      code: "queue_full",
      retryAfterMs: Math.min(retryMs.most, Math.max(retryMs.least, this.#queueMs(load))),
    });
  }

  /** To be called when a sequence ends that had a slot. */
  noteRun(runMs: number): void {
    this.#meanRunMs = this.#meanRunMs === 0 ? runMs : this.#meanRunMs + newestShare * (runMs - this.#meanRunMs);
  }

  /**
   * Each answer takes a slot or a place in the queue. A client with an id that has nothing queued is always let in, so that other clients
   * cannot lock it out.
   */
  #hasRoomFor({ clientId, answerCount = 1, isFollowUp = false }: EngineRequest, { running, waiting, isClientWaiting }: Load): boolean {
    if (isFollowUp) return true;
    if (clientId !== undefined && !isClientWaiting) return true;
    const open = running + waiting;
    if (open === 0 && this.#maxWaiting > 0) return true; // an idle server takes any number of answers
    return open + answerCount <= this.#model.slotCount + this.#maxWaiting;
  }

  /** Estimated milliseconds until everything that waits now has had a slot. */
  #queueMs({ waiting }: Load): number {
    return (this.#meanRunMs * (waiting + 1)) / this.#model.slotCount;
  }
}
