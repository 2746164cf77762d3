// API keys: `Authorization: Bearer KEY` or `x-api-key: KEY`.

import type { MiddlewareHandler } from "hono";
import { askingClient } from "../core/asking-client.ts";
import { RequestError } from "../core/errors.ts";
import type { ApiKeys } from "./api-keys.ts";
import type { AppEnv } from "./request-record.ts";

/**
 * Lets a request pass when it carries one of the keys; without keys, every request passes. Clients with different keys share no cached
 * prefixes, so timing reveals nothing about the prompts of others.
 */
export function requireApiKey(apiKeys: ApiKeys): MiddlewareHandler<AppEnv> {
  return async function checkApiKey(c, next) {
    if (!apiKeys.isEmpty) {
      const key = sentKey(c.req.header("authorization"), c.req.header("x-api-key"));
      if (key === undefined) {
        throw new RequestError("expected an API key, got none; send it as `Authorization: Bearer KEY` or `x-api-key: KEY`", {
          status: 401,
          code: "missing_api_key",
        });
      }
      const owner = apiKeys.ownerOf(key);
      if (!owner) {
        throw new RequestError("the API key is not one of this server's keys; check it, or ask whoever runs the server", {
          status: 401,
          code: "invalid_api_key",
        });
      }
      c.get("record").keyLabel = owner.label;
      c.set("cacheSalt", owner.id);
      return askingClient.run(owner.id, next);
    }
    await next();
  };
}

function sentKey(authorization: string | undefined, xApiKey: string | undefined): string | undefined {
  return /^bearer +(\S+)\s*$/i.exec(authorization ?? "")?.[1] ?? xApiKey;
}
