// Listens on an address, explains to the operator why it cannot, and closes without cutting off answers.

import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import type { ServerType } from "@hono/node-server";
import { UserError } from "../core/errors.ts";

export type Address = {
  readonly host: string;
  readonly port: number;
  /** Names of the options, which start with this. */
  readonly optionPrefix?: string;
};

/** Checks that all the addresses are free, before minutes go into loading a model. */
export async function probeAddresses(addresses: readonly (Address | undefined)[]): Promise<void> {
  const probes: Server[] = [];
  try {
    for (const address of addresses) {
      if (!address) continue;
      const probe = createServer();
      await listen(probe, address);
      probes.push(probe);
    }
  } finally {
    await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
  }
}

/** As other systems put it: without IPv6, without a name server, or for a link-local address without its network card. */
const notOfThisMachine = new Set(["EADDRNOTAVAIL", "ENOTFOUND", "EAFNOSUPPORT", "EAI_AGAIN", "EINVAL"]);

/** Starts to listen; returns the URL with the actual port. */
export async function listen(server: ServerType | Server, { host, port, optionPrefix = "" }: Address): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EADDRINUSE")
      throw new UserError(`port ${port} on ${host} is in use; choose another with --${optionPrefix}port (0 = any free port)`);
    if (code === "EACCES") throw new UserError(`no permission to listen on port ${port}; choose one above 1023 with --${optionPrefix}port`);
    if (code !== undefined && notOfThisMachine.has(code))
      throw new UserError(
        `${host} is not an address of this machine; use --${optionPrefix}host 127.0.0.1, or 0.0.0.0 for all its addresses`,
      );
    throw error;
  }
  const address = server.address() as AddressInfo;
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return `http://${shownHost}:${address.port}`;
}

/** Takes no new connection, lets answers finish, and drops each kept-alive connection as soon as it is idle (`createHttpServer`'s do). */
export function closeWhenIdle(server: ServerType): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
