// API keys: `Authorization: Bearer KEY` or `x-api-key: KEY`.

import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { RequestError } from "../core/errors.ts";
import type { AppEnv } from "./request-record.ts";

/**
 * Lets a request pass when it carries one of the keys; without keys, every request passes. Who has another key shares no cached
 * prefix, so that timing tells nobody what others ask.
 */
export function requireApiKey(apiKeys: readonly string[]): MiddlewareHandler<AppEnv> {
  const accepted = apiKeys.map(sha256);
  return async function checkApiKey(c, next) {
    if (accepted.length > 0) {
      const key = sentKey(c.req.header("authorization"), c.req.header("x-api-key"));
      if (key === undefined) {
        throw new RequestError("expected an API key, got none; send it as `Authorization: Bearer KEY` or `x-api-key: KEY`", {
          status: 401,
          code: "missing_api_key",
        });
      }
      if (!isAccepted(key, accepted)) {
        throw new RequestError("the API key is not one of this server's keys", { status: 401, code: "invalid_api_key" });
      }
      c.set("cacheSalt", sha256(key).toString("hex"));
    }
    await next();
  };
}

function sentKey(authorization: string | undefined, xApiKey: string | undefined): string | undefined {
  return /^bearer +(\S+)\s*$/i.exec(authorization ?? "")?.[1] ?? xApiKey;
}

/** Time depends neither on the key's content nor on which key matches: hashes are compared, and all of them. */
function isAccepted(key: string, accepted: readonly Buffer[]): boolean {
  const hash = sha256(key);
  let matches = 0;
  for (const candidate of accepted) matches += timingSafeEqual(hash, candidate) ? 1 : 0;
  return matches > 0;
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
