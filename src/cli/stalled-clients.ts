// Clients that take nothing of their answer: what they leave unread is memory of ours.

import type { Server } from "node:http";
import type { OpenAnswers } from "./open-answers.ts";

/**
 * Closes a connection over which nothing has moved for `timeoutMs` although there is something to send; its request is aborted then. What
 * is still being computed may be silent for longer, and a kept-alive connection without a request ends by Node's own timeout.
 */
export function disconnectStalledClients(server: Server, answers: OpenAnswers, timeoutMs: number): void {
  // With a listener, Node closes no connection by itself when it times out.
  server.setTimeout(timeoutMs, (socket) => {
    if (socket.writableLength > 0 || !answers.has(socket)) socket.destroy();
  });
}
