// Web pages of other origins that the operator names (`--allow-origin`) may ask and read answers; no other page may. No cookies: keys
// are headers here. Hono's own middleware would answer preflights of all pages, and knows nothing of private networks.

import type { MiddlewareHandler } from "hono";

const methods = "GET, POST, DELETE";
/** What clients read of an answer besides its body: ids for reports, and when to try again. */
const readableHeaders = "x-request-id, request-id, retry-after, retry-after-ms, x-should-retry";
const preflightAgeSeconds = "600";

/** `origins`: as browsers spell them; `*` is any. Empty: pages of this server only. */
export function allowOrigins(origins: readonly string[]): MiddlewareHandler {
  return async function allowOrigin(c, next) {
    if (origins.length === 0) return next();
    c.header("vary", "origin");
    const origin = c.req.header("origin");
    if (origin === undefined || !(origins.includes(origin) || origins.includes("*"))) return next();
    c.header("access-control-allow-origin", origin);
    c.header("access-control-expose-headers", readableHeaders);
    if (c.req.method !== "OPTIONS" || c.req.header("access-control-request-method") === undefined) return next();
    c.header("access-control-allow-methods", methods);
    const asked = c.req.header("access-control-request-headers");
    if (asked !== undefined) c.header("access-control-allow-headers", asked); // SDKs send many of their own
    // Chrome asks so before a public page may reach an address of this machine or network.
    if (c.req.header("access-control-request-private-network") === "true") c.header("access-control-allow-private-network", "true");
    c.header("access-control-max-age", preflightAgeSeconds);
    return c.body(null, 204);
  };
}
