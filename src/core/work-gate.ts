// Limits how much work of one kind runs at a time and how much waits.

import { askingClient } from "./asking-client.ts";

export class WorkGate {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  #runningCount = 0;
  #waitingCount = 0;
  /** By client, in order of their turns; each client's work in order of arrival. Calling one starts it. */
  readonly #waiting = new Map<string | undefined, Set<() => void>>();

  constructor(maxRunning: number, maxWaiting: number) {
    this.#maxRunning = maxRunning;
    this.#maxWaiting = maxWaiting;
  }

  /** Whether new work of the asking client should be refused: a client that uses less than its share of a full queue still gets in. */
  get isFull(): boolean {
    if (this.#runningCount < this.#maxRunning || this.#waitingCount < this.#maxWaiting) return false;
    const own = this.#waiting.get(askingClient.getStore())?.size ?? 0;
    const clientCount = this.#waiting.size + (own === 0 ? 1 : 0);
    return own >= this.#maxWaiting / clientCount;
  }

  /** Whether work waits for its turn. */
  get hasQueue(): boolean {
    return this.#waitingCount > 0;
  }

  /** Runs `work` in its turn and returns its result. If the signal aborts before that, leaves the queue and throws the reason. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#runningCount < this.#maxRunning) this.#runningCount++;
    else await this.#takeTurn(askingClient.getStore(), signal);
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  #takeTurn(client: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#remove(client, enter);
        reject(signal?.reason as Error);
      };
      this.#waiting.set(client, (this.#waiting.get(client) ?? new Set()).add(enter));
      this.#waitingCount++;
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  #remove(client: string | undefined, enter: () => void): void {
    const queue = this.#waiting.get(client)!;
    queue.delete(enter);
    if (queue.size === 0) this.#waiting.delete(client);
    this.#waitingCount--;
  }

  /** Starts the next in the queue in place of work that ended. Its client then comes after all others that wait. */
  #passOn(): void {
    const [first] = this.#waiting;
    if (!first) {
      this.#runningCount--;
      return;
    }
    const [client, queue] = first;
    const [next] = queue as Set<() => void>;
    this.#remove(client, next!);
    if (this.#waiting.delete(client)) this.#waiting.set(client, queue);
    next!();
  }
}
