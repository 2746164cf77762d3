// The queue of sequences that wait for a slot: fair among clients, by priority within each.

import { assert } from "../core/errors.ts";
import type { Sequence } from "./sequence.ts";

/** One client's queue and how much it has been served. */
type Share = {
  /** Follow-ups of admitted requests first, then by priority (lowest number first), then by arrival. */
  waiting: Sequence[];
  /** Tokens charged to it so far. */
  served: number;
};

/**
 * The next turn goes to the client for whom the fewest tokens were computed (the Virtual Token Counter of Sheng et al., "Fairness in Serving
 * Large Language Models", 2024). A client that had nothing waiting starts no lower than the least served one that waits, or else the one that had
 * the last turn: idle time earns no credit. What it has been served still counts, or clients that send one request after another would always be
 * ahead of one that sends several.
 */
export class FairQueue {
  /** By client id, in the order in which they came to wait. Kept for good: there are as many as API keys. */
  readonly #shares = new Map<string | undefined, Share>();
  /** That of the client that had the last turn. */
  #last: Share | undefined;

  /** Number of waiting sequences. Read several times per step. */
  get length(): number {
    let count = 0;
    for (const { waiting } of this.#shares.values()) count += waiting.length;
    return count;
  }

  all(): Sequence[] {
    return [...this.#shares.values()].flatMap(({ waiting }) => waiting);
  }

  /** Number of this client's waiting sequences. */
  lengthOf(clientId: string | undefined): number {
    return this.#shares.get(clientId)?.waiting.length ?? 0;
  }

  push(sequence: Sequence): void {
    const { clientId, isFollowUp, priority } = sequence;
    const share = this.#shares.get(clientId) ?? { waiting: [], served: 0 };
    if (share.waiting.length === 0) {
      const [next = this.#last] = this.#inTurn();
      share.served = Math.max(share.served, next?.served ?? 0);
      this.#shares.delete(clientId);
      this.#shares.set(clientId, share);
    }
    const place = share.waiting.findIndex((other) => !other.isFollowUp && (isFollowUp || other.priority > priority));
    share.waiting.splice(place < 0 ? share.waiting.length : place, 0, sequence);
  }

  /** The first waiting sequence of each client, in the order of the clients' turns. */
  heads(): Sequence[] {
    return this.#inTurn().map(({ waiting }) => waiting[0]!);
  }

  /** Removes a sequence that runs now. */
  take(sequence: Sequence): void {
    this.leave(sequence);
    this.#last = this.#shareOf(sequence);
  }

  /** Charges tokens to the client of this sequence. A negative number refunds tokens that turned out to be cached. */
  charge(sequence: Sequence, tokenCount: number): void {
    this.#shareOf(sequence).served += tokenCount;
  }

  /** Removes a sequence that ends, if it waits. */
  leave(sequence: Sequence): void {
    const share = this.#shareOf(sequence);
    share.waiting = share.waiting.filter((other) => other !== sequence);
  }

  /** Those that wait, the least served first. */
  #inTurn(): Share[] {
    return [...this.#shares.values()].filter(({ waiting }) => waiting.length > 0).toSorted((a, b) => a.served - b.served);
  }

  #shareOf({ id, clientId }: Sequence): Share {
    const share = this.#shares.get(clientId);
    assert(share, `the client of sequence ${id} is unknown`);
    return share;
  }
}
