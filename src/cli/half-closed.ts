// Clients that close their half of the connection behind a request: `nc -N` and some probes, which still read, and every one that has left.

import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { OpenAnswers } from "./open-answers.ts";

/**
 * The two look alike until something is written. So what costs nothing is answered; but a request for which the model may work is taken
 * for given up, as proxies and most servers do: a client that stops waiting would else keep the model busy until its answer is complete.
 */
export function answerHalfClosedReaders(server: Server, answers: OpenAnswers): void {
  Object.assign(server, { httpAllowHalfOpen: true }); // Node's name, which its types lack: else no answer outlives the client's end
  server.on("connection", (socket: Socket) => {
    socket.once("end", () => {
      if ([...answers.of(socket)].some(({ method }) => method === "POST")) socket.destroy();
    });
  });
}
