// Ports for tests that must know one before anything listens on it.

import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** A free port of 127.0.0.1, below those that the system hands out: another process could get one of them meanwhile. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(11_000, 30_000); // fetch and browsers refuse 10080
    const probe = createServer().listen(port, "127.0.0.1");
    const isFree = await once(probe, "listening").then(
      () => true,
      () => false,
    );
    await new Promise((resolve) => probe.close(resolve));
    if (isFree) return port;
  }
}
