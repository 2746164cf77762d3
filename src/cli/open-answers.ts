// Tracks which connections have a running answer and should not be closed, and closes each after its last one.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";

const none: ReadonlySet<ServerResponse> = new Set();

/** How long a connection stays open after its last answer: a client that was not told so may have sent its next request already. */
const lingerMs = 250;

export class OpenAnswers {
  /** By connection; several per connection, because of pipelining. */
  readonly #answers = new Map<Socket, Set<ServerResponse>>();
  #isClosing = false;

  /** Watches the server from its first connection on. */
  constructor(server: Server) {
    server.on("connection", (socket: Socket) => {
      this.#answers.set(socket, new Set());
      socket.once("close", () => {
        for (const answer of this.of(socket)) abandonIfQueued(answer);
        this.#answers.delete(socket);
      });
    });
    server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
      const answers = this.#answers.get(socket);
      answers?.add(response);
      response.once("close", () => {
        answers?.delete(response);
        if (this.#isClosing && answers?.size === 0) this.#closeSoon(socket);
      });
    });
  }

  /** The answers that are not complete yet, in the order of their requests. */
  of(socket: Socket): ReadonlySet<ServerResponse> {
    return this.#answers.get(socket) ?? none;
  }

  has(socket: Socket): boolean {
    return this.of(socket).size > 0;
  }

  /** By connection: bytes of its answers that the system has not taken yet. */
  unreadBytes(): { readonly socket: Socket; readonly bytes: number }[] {
    return [...this.#answers].map(([socket, all]) => {
      return { socket, bytes: [...all].reduce((sum, answer) => sum + answer.writableLength, 0) };
    });
  }

  /** Closes each connection as soon as it has no running answer, including those that have sent nothing or half a header, which Node would wait for. */
  closeIdle(): void {
    this.#isClosing = true;
    for (const socket of this.#answers.keys()) if (!this.has(socket)) this.#closeSoon(socket);
  }

  /**
   * To be called before an answer is written: if it is the last of its connection, it says so. A request sent behind it would be lost, and a
   * proxy may not repeat it.
   */
  async sayIfLast(answer: ServerResponse): Promise<void> {
    if (!this.#isClosing) return;
    await setImmediate(); // by now, what came of the body together with the header is read
    const isLast = [...this.of(answer.req.socket)].at(-1) === answer;
    // Node closes the connection at once after such an answer: a client that still sends its request would not read it.
    if (isLast && answer.req.complete) answer.setHeader("connection", "close");
  }

  /** Unless a request comes, which may be on its way: as its answer says that it is the last, its client can go elsewhere. */
  #closeSoon(socket: Socket): void {
    setTimeout(() => {
      if (!this.has(socket)) socket.destroy();
    }, lingerMs);
  }
}

/**
 * When a client leaves, Node closes only the answer whose turn it is on the connection. Those that wait behind it (HTTP pipelining) would never
 * end, nor would their requests and what these hold.
 */
function abandonIfQueued(answer: ServerResponse): void {
  if (answer.socket) return;
  answer.destroy();
  answer.emit("close");
}
