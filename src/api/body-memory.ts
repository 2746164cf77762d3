// Bounds the memory that the bodies of all running requests take together: a few large ones do no harm, hundreds would. A client may hold as much
// as it leaves free: one alone half of the memory, two a third each. So there is room for another, and those that hold most make it first.

import { RequestError } from "../core/errors.ts";

const retryAfterMs = 2_000;

/** `client` stands for an API key; undefined where the server has none. */
export class BodyMemory {
  readonly #maxBytes: number;
  readonly #byClient = new Map<string | undefined, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Reserves bytes, which must be given back when the request is over. Throws RequestError (429), and reserves nothing, when the client would hold
   * more than it leaves free.
   */
  take(client: string | undefined, bytes: number): void {
    const own = (this.#byClient.get(client) ?? 0) + bytes;
    const all = this.#bytes + bytes;
    if (own > this.#maxBytes - all) {
      throw new RequestError("the server holds as many large requests as it can; try again later", {
        status: 429,
        code: "server_busy",
        retryAfterMs,
      });
    }
    this.#byClient.set(client, own);
    this.#bytes = all;
  }

  giveBack(client: string | undefined, bytes: number): void {
    const left = (this.#byClient.get(client) ?? 0) - bytes;
    if (left > 0) this.#byClient.set(client, left);
    else this.#byClient.delete(client);
    this.#bytes -= bytes;
  }
}
