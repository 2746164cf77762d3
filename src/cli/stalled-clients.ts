// Clients that do not read their answer, which we have to hold in memory.

import type { Server } from "node:http";
import type { OpenAnswers } from "./open-answers.ts";

/**
 * Closes a connection that has been idle for `timeoutMs` although there is data to send, which aborts its request. An answer that is still
 * being computed may be silent for longer; a kept-alive connection without a request is closed by Node's own timeout.
 */
export function disconnectStalledClients(server: Server, answers: OpenAnswers, timeoutMs: number): void {
  // With a listener, Node closes no connection by itself when it times out.
  server.setTimeout(timeoutMs, (socket) => {
    if (socket.writableLength > 0 || !answers.has(socket)) socket.destroy();
  });
}

/**
 * Closes the connection with the most unread bytes when a request arrives while all together have more than `maxBytes`. A short request for a
 * stored response may be answered with 60 MB, which a client that reads a byte now and then could keep in memory for hours.
 */
export function limitUnreadBytes(server: Server, answers: OpenAnswers, maxBytes: number): void {
  server.on("request", () => {
    const unread = answers.unreadBytes();
    const all = unread.reduce((sum, { bytes }) => sum + bytes, 0);
    if (all > maxBytes) unread.reduce((most, other) => (other.bytes > most.bytes ? other : most)).socket.destroy();
  });
}
