import { Resolver } from "node:dns/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Reach } from "../../src/media/host-rule.ts";
import { checkedAddresses, pinnedLookup, resolveName } from "../../src/media/host-address.ts";

const check = (addresses: readonly string[], reach: Reach) => checkedAddresses("host.example", reach, async () => addresses);

const publicAddresses = ["8.8.8.8", "172.15.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"];
const localAddresses = ["127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fd00::1", "fc00::1", "::ffff:10.0.0.1"];
const forbiddenAddresses = [
  ["unspecified", "0.0.0.0", "0.1.2.3", "::"],
  ["link-local", "169.254.1.1", "fe80::1", "fe80::1%eth0", "febf::1"],
  ["metadata of a cloud", "169.254.169.254", "100.100.100.200", "168.63.129.16", "::ffff:169.254.169.254"],
  ["carrier-grade NAT", "100.64.0.1", "100.127.255.255"],
  ["multicast and broadcast", "224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1"],
  [
    "reserved and for documents",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "2001:db8::1",
    "3fff::1",
  ],
  ["tunnels", "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "2001::1", "192.88.99.1"],
  ["IPv4 wrapped in other ways", "::7f00:1", "::10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "64:ff9b::a9fe:a9fe"],
  ["outside global unicast", "fec0::1", "100::1", "4000::1", "5f00::1"],
  ["no address", "", "localhost", "1.2.3", "8.8.8.8/8"],
].flatMap(([kind, ...addresses]) => addresses.map((address) => [kind, address] as const));

describe("with public reach", () => {
  test.each(publicAddresses)("%s is reached", async (address) => {
    expect(await check([address], "public")).toEqual([address]);
  });

  test.each(localAddresses)("%s is not", async (address) => {
    expect(await check([address], "public")).toBeUndefined();
  });

  test("one bad answer spoils the others", async () => {
    expect(await check(["8.8.8.8", "2606:4700::1111"], "public")).toEqual(["8.8.8.8", "2606:4700::1111"]);
    expect(await check(["8.8.8.8", "10.0.0.1"], "public")).toBeUndefined();
    expect(await check(["2606:4700::1111", "::1"], "public")).toBeUndefined();
  });

  test.each(["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "169.254.169.254"])("%s in the URL itself is not reached", async (hostname) => {
    const unasked = () => Promise.reject(new Error("asked the resolver"));

    expect(await checkedAddresses(hostname, "public", unasked)).toBeUndefined();
  });
});

describe("with local reach", () => {
  test.each([...publicAddresses, ...localAddresses])("%s is reached", async (address) => {
    expect(await check([address], "local")).toEqual([address]);
  });

  test("an address that the operator named is reached, whichever it is", async () => {
    expect(await checkedAddresses("169.254.1.1", "local", async () => [])).toEqual(["169.254.1.1"]);
  });
});

test.each(forbiddenAddresses)("no name leads to %s (%s)", async (_, address) => {
  expect(await check([address], "public")).toBeUndefined();
  expect(await check([address], "local")).toBeUndefined();
});

test("a name without addresses has none", async () => {
  expect(await check([], "public")).toBeUndefined();
});

test("a socket gets the checked addresses in both forms it may ask for", () => {
  const lookup = pinnedLookup(["8.8.8.8", "2606:4700::1111"]);
  const answers: unknown[] = [];

  lookup("other.example", { all: true }, (...answer) => answers.push(answer));
  lookup("other.example", { all: false }, (...answer) => answers.push(answer));

  expect(answers).toEqual([
    [
      null,
      [
        { address: "8.8.8.8", family: 4 },
        { address: "2606:4700::1111", family: 6 },
      ],
    ],
    [null, "8.8.8.8", 4],
  ]);
});

describe("a name that a client chose is resolved", () => {
  afterEach(() => void vi.restoreAllMocks());

  const answer = (four: readonly string[] | Error, six: readonly string[] | Error) => {
    const settle = async (addresses: readonly string[] | Error) =>
      addresses instanceof Error ? Promise.reject(addresses) : [...addresses];
    vi.spyOn(Resolver.prototype, "resolve4").mockImplementation(() => settle(four) as Promise<never>);
    vi.spyOn(Resolver.prototype, "resolve6").mockImplementation(() => settle(six) as Promise<never>);
    return resolveName("host.example", "public");
  };
  const none = new Error("ENODATA");

  test("to its addresses of both kinds, so that each is checked", async () => {
    expect(await answer(["8.8.8.8"], ["::1"])).toEqual(["8.8.8.8", "::1"]);
  });

  test("where it has addresses of one kind only", async () => {
    expect(await answer(["8.8.8.8"], none)).toEqual(["8.8.8.8"]);
    expect(await answer(none, ["2606:4700::1111"])).toEqual(["2606:4700::1111"]);
  });

  test("to nothing, with the reason for the log", async () => {
    await expect(answer(none, none)).rejects.toBe(none);
  });
});

test("a name that the operator gave with a port is resolved as the system does", async () => {
  expect(await resolveName("localhost", "local")).toContain("127.0.0.1");
});
