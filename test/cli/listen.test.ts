import { createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { listen, probeAddresses } from "../../src/cli/listen.ts";
import { UserError } from "../../src/core/errors.ts";
import { freePort } from "../free-port.ts";

const host = "127.0.0.1";
const taken = createServer();
afterEach(() => void taken.close());

test("addresses that are free can be had afterwards", async () => {
  const port = await freePort();

  await probeAddresses([{ host, port }, undefined, { host, port: 0 }]);

  expect(await listen(taken, { host, port })).toBe(`http://${host}:${port}`);
});

test("one that is taken is refused with the option that names it", async () => {
  const { port } = new URL(await listen(taken, { host, port: 0 }));

  await expect(
    probeAddresses([
      { host, port: 0 },
      { host, port: Number(port), optionPrefix: "metrics-" },
    ]),
  ).rejects.toThrow(new UserError(`port ${port} on ${host} is in use; choose another with --metrics-port (0 = any free port)`));
});

test("so is one that is wanted twice", async () => {
  const port = await freePort();

  await expect(
    probeAddresses([
      { host, port },
      { host, port, optionPrefix: "metrics-" },
    ]),
  ).rejects.toThrow(/--metrics-port/);
  expect(await listen(taken, { host, port })).toBe(`http://${host}:${port}`); // nothing still listens
});

test("an address of a network card that is not named, or of a system without IPv6, is refused with what to use", async () => {
  const message = "fe80::1 is not an address of this machine; use --host 127.0.0.1, or 0.0.0.0 for all its addresses";
  await expect(probeAddresses([{ host: "fe80::1", port: 0 }])).rejects.toThrow(new UserError(message)); // EINVAL or EAFNOSUPPORT
});
