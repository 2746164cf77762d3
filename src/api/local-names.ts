// A server without keys believes whoever reaches it, so it must not be reached by pages of the web: a browser that has looked up
// evil.example once more, and been told 127.0.0.1, takes this server for that page's own (DNS rebinding). The name in the request gives it away.

import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { RequestError } from "../core/errors.ts";

/** Throws RequestError (403) for a request that names its server other than localhost or by address. */
export function refuseForeignNames(): MiddlewareHandler {
  return async function checkName(c, next) {
    const name = new URL(c.req.url).hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
    if (name !== "localhost" && !name.endsWith(".localhost") && isIP(name) === 0) {
      throw new RequestError(
        `this server has no API key, so it answers to localhost and to addresses only, not to ${JSON.stringify(name.slice(0, 100))}; ` +
          "ask it by one of those, or start it with --api-key",
        { status: 403, code: "host_not_allowed" },
      );
    }
    await next();
  };
}
