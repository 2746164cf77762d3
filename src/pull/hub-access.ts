// Which hub to ask, with which token and through which proxy, from the variables and files that other hub clients use.

import { readFileSync } from "node:fs";

import { join } from "node:path";
import { HUB_URL } from "@huggingface/hub";
import { UserError } from "../core/errors.ts";
import { homeFolder } from "../core/file-system.ts";

export type HubAccess = {
  /** Base address without a slash at its end. */
  readonly endpoint: string;
  /** Secret: it goes into one request header and nowhere else. */
  readonly token: string | undefined;
  readonly proxies: Proxies;
};

/** Addresses of proxies, "" for none; they may hold a password. */
type Proxies = {
  readonly http: string;
  /** Where it is "", that for http. */
  readonly https: string;
  /** Hosts that are asked directly, with commas between; "*" for all. */
  readonly except: string;
};

/**
 * HF_ENDPOINT; HF_TOKEN or the token that a login of another client has stored; HTTPS_PROXY, HTTP_PROXY, NO_PROXY. Throws a UserError when
 * they cannot be used.
 */
export function readHubAccess(env: NodeJS.ProcessEnv, home: string = homeFolder() ?? "/"): HubAccess {
  const proxies = {
    http: checkProxy("HTTP_PROXY", env["http_proxy"] ?? env["HTTP_PROXY"]),
    https: checkProxy("HTTPS_PROXY", env["https_proxy"] ?? env["HTTPS_PROXY"]),
    except: env["no_proxy"] ?? env["NO_PROXY"] ?? "",
  };
  return { endpoint: readEndpoint(env["HF_ENDPOINT"]), token: readToken(env, home), proxies };
}

/** The value itself stays out of the message: it may hold a password. */
function checkProxy(name: string, text = ""): string {
  if (text === "" || (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol))) return text;
  throw new UserError(`${name}: expected an address such as http://proxy.example:3128`);
}

function readEndpoint(text: string | undefined): string {
  if (!text) return HUB_URL;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.search || url.hash) {
    throw new UserError("HF_ENDPOINT: expected an address such as https://hub.example, without user, query or fragment");
  }
  return url.href.replace(/\/+$/, "");
}

function readToken(env: NodeJS.ProcessEnv, home: string): string | undefined {
  const named = env["HF_TOKEN"]?.trim();
  const token = named || readTokenFile(tokenPath(env, home));
  // The value itself stays out of the message.
  if (token && !/^[\x21-\x7e]+$/.test(token)) {
    throw new UserError(`${named ? "HF_TOKEN" : tokenPath(env, home)}: expected a token without spaces or line breaks; log in again`);
  }
  return token;
}

function tokenPath(env: NodeJS.ProcessEnv, home: string): string {
  const cache = env["XDG_CACHE_HOME"] || join(home, ".cache");
  return env["HF_TOKEN_PATH"] || join(env["HF_HOME"] || join(cache, "huggingface"), "token");
}

function readTokenFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim() || undefined;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw new UserError(`cannot read the token in ${path}: ${(error as Error).message}`, { cause: error });
  }
}
