// Protects a server without keys from DNS rebinding: a page of evil.example whose name now resolves to 127.0.0.1 would reach this server as its
// own origin. The host that the request names gives it away.

import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { RequestError } from "../core/errors.ts";

/** Throws RequestError (403) for a request whose host is neither localhost nor an IP address. */
export function refuseForeignNames(): MiddlewareHandler {
  return async function checkName(c, next) {
    const name = new URL(c.req.url).hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
    if (name !== "localhost" && !name.endsWith(".localhost") && isIP(name) === 0) {
      throw new RequestError(
        `this server has no API key, so it only answers requests to localhost or an IP address, not to ${JSON.stringify(name.slice(0, 100))}; ` +
          "use one of those in the URL, or start the server with --api-key or --api-key-file",
        { status: 403, code: "host_not_allowed" },
      );
    }
    await next();
  };
}
