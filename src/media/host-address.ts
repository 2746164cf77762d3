// Host → addresses that may be connected to. Each is checked here and the connection goes to nothing else, so a name that resolves
// differently the next time (DNS rebinding) gains nothing.

import { lookup, Resolver } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import type { Reach } from "./host-rule.ts";

/** Addresses of a name, in the order to try; rejects or is empty when there are none. */
export type Resolve = (name: string, reach: Reach) => Promise<readonly string[]>;

/** The host's addresses when every one may be reached, else undefined. `hostname` is that of a WHATWG URL. */
export async function checkedAddresses(hostname: string, reach: Reach, resolve: Resolve): Promise<readonly string[] | undefined> {
  const literal = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  if (isIP(literal)) return isReachable(literal, reach) || reach === "local" ? [literal] : undefined;
  const addresses = await resolve(literal, reach);
  return addresses.length > 0 && addresses.every((address) => isReachable(address, reach)) ? addresses : undefined;
}

/** In place of the system's look-up when a socket connects. */
export function pinnedLookup(addresses: readonly string[]): LookupFunction {
  const answers = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_, options, callback) => {
    if (options.all) callback(null, answers);
    else callback(null, answers[0]!.address, answers[0]!.family);
  };
}

/**
 * Names under a wide rule are the client's choice: DNS alone is asked for them, without a thread, because the system's look-up holds one
 * of the few threads that decode pictures and read files for as long as a name server likes. Names the operator gave with a port go
 * the system's way, so that `localhost` and the hosts file count.
 */
export async function resolveName(name: string, reach: Reach): Promise<readonly string[]> {
  if (reach === "local") return (await lookup(name, { all: true })).map(({ address }) => address);
  const resolver = new Resolver({ timeout: 3000, tries: 2 });
  const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  const addresses = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  const failure = answers.find(({ status }) => status === "rejected");
  if (addresses.length === 0 && failure?.status === "rejected") throw failure.reason as Error;
  return addresses;
}

const localRanges = ["loopback", "private", "uniqueLocal"];
const globalUnicast = ipaddr.IPv6.parseCIDR("2000::/3");
const nat64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");
/** Services of a cloud for its own machines, at an address that looks public. */
const cloudAddresses = ["168.63.129.16"];

/** Link-local addresses (where clouds keep credentials), multicast and reserved ones never are. */
function isReachable(text: string, reach: Reach): boolean {
  const spelling = canonicalAddress(text);
  if (spelling === undefined) return false;
  const address = unwrap(ipaddr.parse(spelling));
  const range = address.range();
  if (reach === "local" && localRanges.includes(range)) return true;
  if (range !== "unicast" || cloudAddresses.includes(address.toString())) return false;
  return address.kind() === "ipv4" || address.match(globalUnicast);
}

/**
 * The one spelling that every parser reads alike, ipaddr.js too (which takes `::10.0.0.1` for `::ffff:10.0.0.1`, `1.2.3` and `010.0.0.1` for
 * addresses). Undefined for what is no address, or belongs to one network card.
 */
function canonicalAddress(text: string): string | undefined {
  if (isIP(text) !== 6) return isIP(text) === 4 ? text : undefined;
  const url = `http://[${text}]`;
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined;
}

/** IPv4 addresses that travel inside IPv6 ones count as themselves. What other forms wrap (6to4, Teredo) is no unicast and refused. */
function unwrap(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 | ipaddr.IPv6 {
  if (address.kind() === "ipv4") return address;
  const wide = address as ipaddr.IPv6;
  if (wide.isIPv4MappedAddress()) return wide.toIPv4Address();
  return wide.match(nat64) ? new ipaddr.IPv4(wide.toByteArray().slice(12)) : wide;
}
