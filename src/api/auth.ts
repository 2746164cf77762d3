// API keys: `Authorization: Bearer KEY` or `x-api-key: KEY`.

import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { askingClient } from "../core/asking-client.ts";
import { RequestError } from "../core/errors.ts";
import type { AppEnv } from "./request-record.ts";

/**
 * Lets a request pass when it carries one of the keys; without keys, every request passes. Clients with different keys share no cached
 * prefixes, so timing reveals nothing about the prompts of others.
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
        throw new RequestError("the API key is not one of this server's keys; check it, or ask whoever runs the server", {
          status: 401,
          code: "invalid_api_key",
        });
      }
      const client = sha256(key).toString("hex");
      c.set("cacheSalt", client);
      return askingClient.run(client, next);
    }
    await next();
  };
}

function sentKey(authorization: string | undefined, xApiKey: string | undefined): string | undefined {
  return /^bearer +(\S+)\s*$/i.exec(authorization ?? "")?.[1] ?? xApiKey;
}

/** Takes the same time whatever the key is and whichever key matches: it compares hashes, and all of them. */
function isAccepted(key: string, accepted: readonly Buffer[]): boolean {
  const hash = sha256(key);
  let matches = 0;
  for (const candidate of accepted) matches += timingSafeEqual(hash, candidate) ? 1 : 0;
  return matches > 0;
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
