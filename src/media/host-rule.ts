// The hosts that the operator allows downloads from (`--allow-media-domain`): parses the rules and finds the one that covers a URL.

import { isIP } from "node:net";
import { UserError } from "../core/errors.ts";

/** The addresses that a host may have. */
export type Reach =
  /** Only public addresses. */
  | "public"
  /** Also addresses of the operator's own machine and network. */
  | "local";

export type HostRule = {
  /** As the URL standard spells hosts. `*`: any; `*.example.org`: every subdomain, but not `example.org` itself. */
  readonly host: string;
  /** Undefined: 80 for http, 443 for https. */
  readonly port: string | undefined;
  /** `local` if the operator names one service exactly: an IP address, or a name with a port. */
  readonly reach: Reach;
};

/** Throws UserError for a malformed host. */
export function parseHostRule(text: string): HostRule {
  const [rule, port] = /^(?:\*|(?:\*\.)?[^*/\\?#@:\s]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/i.exec(text) ?? [];
  const url = rule && parseUrl(`http://${rule}`);
  if (!url) {
    const expected = "a host such as images.example.org, *.example.org, 127.0.0.1:9000 or [::1]:9000, or * for any public host";
    throw new UserError(`--allow-media-domain: expected ${expected}, got ${JSON.stringify(text)}`);
  }
  const name = hostName(url);
  const namesOneService = !name.startsWith("*") && (port !== undefined || isAddress(name));
  return { host: name, port: port && String(Number(port)), reach: namesOneService ? "local" : "public" };
}

/** The rule that allows the URL, the one with the wider reach if there are several; undefined if there is none. */
export function findHostRule(url: URL, rules: readonly HostRule[]): HostRule | undefined {
  const name = hostName(url);
  const covering = rules.filter((rule) => coversHost(rule, name) && coversPort(rule, url));
  return covering.find(({ reach }) => reach === "local") ?? covering[0];
}

function coversHost({ host }: HostRule, name: string): boolean {
  if (host === "*") return true;
  return host.startsWith("*") ? name.endsWith(host.slice(1)) && !isAddress(name) : name === host;
}

function coversPort({ port }: HostRule, url: URL): boolean {
  const schemePort = url.protocol === "https:" ? "443" : "80";
  return (url.port || schemePort) === (port ?? schemePort);
}

/** The host name without a trailing dot, which does not change its owner. */
function hostName({ hostname }: URL): string {
  return hostname.replace(/\.$/, "");
}

function isAddress(hostname: string): boolean {
  return hostname.startsWith("[") || isIP(hostname) > 0;
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}
