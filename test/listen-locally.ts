// Servers of tests.

import type { Server } from "node:net";
import { listen } from "../src/cli/listen.ts";

/** Listens on a free port of this machine; gives the address, `http://127.0.0.1:PORT`. */
export function listenLocally(server: Server): Promise<string> {
  return listen(server, { host: "127.0.0.1", port: 0 });
}
