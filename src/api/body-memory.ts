// The bodies of all requests under way, counted together: a few large ones are no danger, hundreds of them would be.

import { RequestError } from "../core/errors.ts";

const retryAfterMs = 2_000;

export class BodyMemory {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** To be given back when the request is over. Throws RequestError (429), and takes nothing, when there is no room. */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new RequestError("the server holds as many large requests as it can; try again later", {
        status: 429,
        code: "server_busy",
        retryAfterMs,
      });
    }
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}
