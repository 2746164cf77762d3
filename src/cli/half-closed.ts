// Clients that close their half of the connection after a request: `nc -N` and some probes, which still read the answer, and all that have left.

import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { OpenAnswers } from "./open-answers.ts";

/**
 * The two cannot be told apart until something is written. Cheap requests are answered. A request that may need the model is cancelled, as
 * proxies and most servers do: otherwise a client that left would keep the model busy until the answer is complete.
 */
export function answerHalfClosedReaders(server: Server, answers: OpenAnswers): void {
  Object.assign(server, { httpAllowHalfOpen: true }); // Node's name, which its types lack: else no answer outlives the client's end
  server.on("connection", (socket: Socket) => {
    socket.once("end", () => {
      if ([...answers.of(socket)].some(({ req }) => req.method === "POST")) socket.destroy();
    });
  });
}
