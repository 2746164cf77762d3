// CORS: web pages of the origins that the operator allows (`--allow-origin`) may use the API; no other page may. No cookies, because keys
// are sent in headers. Hono's own middleware would answer preflights from every page, and does not handle private networks.

import type { MiddlewareHandler } from "hono";

const methods = "GET, POST, DELETE";
/** Headers that clients read: request ids, when to retry, and what was ignored. */
const readableHeaders = "x-request-id, request-id, retry-after, retry-after-ms, x-should-retry, x-unknown-fields";
const preflightAgeSeconds = "600";

/** `origins`: as browsers spell them; `*` allows any. Empty: only pages of this server. */
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
    // Chrome's question before a public page may connect to this machine or its network.
    if (c.req.header("access-control-request-private-network") === "true") c.header("access-control-allow-private-network", "true");
    c.header("access-control-max-age", preflightAgeSeconds);
    return c.body(null, 204);
  };
}
