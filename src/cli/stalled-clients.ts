// Clients that take nothing of their answer: what they leave unread is memory of ours.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Closes a connection over which nothing has moved for `timeoutMs` although there is something to send; its request is aborted then. What
 * is still being computed may be silent for longer, and a kept-alive connection without a request ends by Node's own timeout.
 */
export function disconnectStalledClients(server: Server, timeoutMs: number): void {
  const openAnswers = new WeakMap<Socket, number>();
  const count = (socket: Socket, change: number) => void openAnswers.set(socket, (openAnswers.get(socket) ?? 0) + change);
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    count(socket, 1);
    response.once("close", () => count(socket, -1));
  });
  // With a listener, Node closes no connection by itself when it times out.
  server.setTimeout(timeoutMs, (socket) => {
    if (socket.writableLength > 0 || !openAnswers.get(socket)) socket.destroy();
  });
}
