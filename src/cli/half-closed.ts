// Clients that close their half of the connection behind a request: `nc -N` and some probes, which still read, and every one that has left.

import type { Server } from "node:http";

/** Of requests for which the model may work. */
const isWork = (method: string | undefined): boolean => method === "POST";

/**
 * The two look alike until something is written. So what costs nothing is answered; but a request for work is taken for given up, as
 * proxies and most servers do: a client that stops waiting would else keep the model busy until its answer is complete.
 */
export function answerHalfClosedReaders(server: Server): void {
  Object.assign(server, { httpAllowHalfOpen: true }); // Node's name, which its types lack: else no answer outlives the client's end
  server.on("request", ({ method, socket }, response) => {
    if (!isWork(method)) return;
    const giveUp = (): void => void socket.destroy();
    socket.once("end", giveUp);
    response.once("close", () => socket.off("end", giveUp));
  });
}
