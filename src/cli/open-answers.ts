// Tracks which connections have a running answer and should not be closed.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

const none: ReadonlySet<ServerResponse> = new Set();

export class OpenAnswers {
  /** By connection; several per connection, because of pipelining. */
  readonly #answers = new Map<Socket, Set<ServerResponse>>();

  /** Watches the server from its first connection on. */
  constructor(server: Server) {
    server.on("connection", (socket: Socket) => {
      this.#answers.set(socket, new Set());
      socket.once("close", () => this.#answers.delete(socket));
    });
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      const answers = this.#answers.get(request.socket);
      answers?.add(response);
      response.once("close", () => answers?.delete(response));
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

  /** Closes all other connections, including those that have sent nothing or half a header, which Node would wait for. */
  closeOthers(): void {
    for (const socket of this.#answers.keys()) if (!this.has(socket)) socket.destroy();
  }
}
