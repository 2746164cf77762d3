// Which connections have an answer under way: those that must not be closed without need.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

export class OpenAnswers {
  /** Of each connection, how many: requests may be sent before the last one is answered. */
  readonly #counts = new Map<Socket, number>();

  /** Watches the server from its first connection on. */
  constructor(server: Server) {
    server.on("connection", (socket: Socket) => {
      this.#counts.set(socket, 0);
      socket.once("close", () => this.#counts.delete(socket));
    });
    server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
      this.#change(socket, 1);
      response.once("close", () => this.#change(socket, -1));
    });
  }

  has(socket: Socket): boolean {
    return this.#counts.get(socket) !== undefined && this.#counts.get(socket) !== 0;
  }

  /** Closes all other connections, those too that have sent nothing yet or only half of a header: Node waits for these. */
  closeOthers(): void {
    for (const socket of this.#counts.keys()) if (!this.has(socket)) socket.destroy();
  }

  #change(socket: Socket, change: number): void {
    const count = this.#counts.get(socket);
    if (count !== undefined) this.#counts.set(socket, count + change);
  }
}
