// Bounds the memory that the bodies of all running requests take together: a few large ones do no harm, hundreds would.

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
   * Reserves bytes, which must be given back when the request is over. Throws RequestError (429), and reserves nothing, when there is no room and
   * the client has its share already.
   */
  take(client: string | undefined, bytes: number): void {
    const own = this.#byClient.get(client) ?? 0;
    const clientCount = this.#byClient.size + (own === 0 ? 1 : 0);
    if (this.#bytes + bytes > this.#maxBytes && own + bytes > this.#maxBytes / clientCount) {
      throw new RequestError("the server holds as many large requests as it can; try again later", {
        status: 429,
        code: "server_busy",
        retryAfterMs,
      });
    }
    this.#byClient.set(client, own + bytes);
    this.#bytes += bytes;
  }

  giveBack(client: string | undefined, bytes: number): void {
    const left = (this.#byClient.get(client) ?? 0) - bytes;
    if (left > 0) this.#byClient.set(client, left);
    else this.#byClient.delete(client);
    this.#bytes -= bytes;
  }
}
