// Downloads one file over HTTP from a host that the operator allows. Connects to checked addresses only, follows redirects itself, and bounds
// everything. No proxy, cookies, compression or reused connections, so that exactly what was checked is fetched.

import { Client, type Dispatcher } from "undici";
import { RequestError } from "../core/errors.ts";
import { GrowingBytes } from "../core/growing-bytes.ts";
import { LinkedAbort } from "../core/linked-abort.ts";
import type { MediaRequest } from "../core/media.ts";
import { checkedAddresses, pinnedLookup, type Resolve } from "./host-address.ts";
import { findHostRule, type HostRule } from "./host-rule.ts";
import { fileTooLarge } from "./refusals.ts";

type DownloadOptions = {
  readonly rules: readonly HostRule[];
  readonly resolve: Resolve;
  /** The time limit of one file, redirects included. */
  readonly timeoutMs: number;
};

const maxRedirects = 3;
const redirectStatuses = [301, 302, 303, 307, 308];
const connectTimeoutMs = 10_000;
const headers = { accept: "image/*, video/*, */*;q=0.5", "accept-encoding": "identity", "user-agent": "ernie-vl" };

/** The file at an http or https URL. Throws RequestError, or the signal's reason when it aborts. */
export async function download(url: URL, request: MediaRequest, options: DownloadOptions): Promise<Uint8Array> {
  const { param, signal } = request;
  const abort = new LinkedAbort(signal);
  const late = notDownloaded(param, `it did not arrive within ${options.timeoutMs / 1000} s`);
  const timer = setTimeout(() => abort.abort(late), options.timeoutMs);
  try {
    return await abort.race(followRedirects(url, { ...request, signal: abort.signal }, options));
  } finally {
    clearTimeout(timer);
    abort.unlink();
  }
}

async function followRedirects(url: URL, request: MediaRequest, options: DownloadOptions): Promise<Uint8Array> {
  let next = url;
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const answer = await fetchOnce(next, hop > 0, request, options);
    if (answer instanceof Uint8Array) return answer;
    next = answer;
  }
  throw notDownloaded(request.param, `it takes more than ${maxRedirects} redirects`);
}

/** The file, or the URL that the host redirects to. */
async function fetchOnce(url: URL, isRedirected: boolean, request: MediaRequest, options: DownloadOptions): Promise<Uint8Array | URL> {
  const { param, signal } = request;
  const client = await openClient(url, isRedirected, param, options);
  try {
    const path = url.pathname + url.search;
    const response = await client.request({ method: "GET", path, headers, signal }).catch((cause: unknown) => {
      signal.throwIfAborted();
      throw unreachable(param, cause);
    });
    const target = redirectTarget(url, response, param);
    return target ?? (await readBody(response, request));
  } finally {
    void client.destroy().catch(() => {});
  }
}

/** A client that can connect only to addresses that were checked. */
async function openClient(url: URL, isRedirected: boolean, param: string, { rules, resolve }: DownloadOptions): Promise<Client> {
  const rule = isWithoutCredentials(url) ? findHostRule(url, rules) : undefined;
  if (!rule) {
    if (isRedirected) throw notDownloaded(param, "it redirects to a URL that this server does not download from");
    throw notAllowed(url, param);
  }
  // The same message for all of these, so that a client does not learn which names exist in the operator's network.
  const addresses = await checkedAddresses(url.hostname, rule.reach, resolve).catch((cause: unknown) => {
    throw unreachable(param, cause);
  });
  if (!addresses) throw unreachable(param, { code: "ERR_ADDRESS_NOT_ALLOWED" }); // for the log
  return new Client(url.origin, {
    connect: { lookup: pinnedLookup(addresses), timeout: connectTimeoutMs },
    headersTimeout: 0, // the timer of `download` covers both
    bodyTimeout: 0,
  });
}

function redirectTarget(url: URL, { statusCode, headers: { location } }: Dispatcher.ResponseData, param: string): URL | undefined {
  if (!redirectStatuses.includes(statusCode)) return undefined;
  if (typeof location === "string" && URL.canParse(location, url.href)) {
    const target = new URL(location, url.href);
    if (isHttp(target)) return target;
  }
  throw notDownloaded(param, "it redirects to a URL that this server does not download from");
}

async function readBody({ statusCode, headers, body }: Dispatcher.ResponseData, request: MediaRequest): Promise<Uint8Array> {
  const { param, maxBytes, signal } = request;
  if (statusCode !== 200) throw notDownloaded(param, `the host answered ${statusCode}`);
  if (!/^(identity)?$/i.test(String(headers["content-encoding"] ?? ""))) {
    throw notDownloaded(param, "the host sent it compressed, although the request ruled that out");
  }
  if (Number(headers["content-length"] ?? 0) > maxBytes) throw fileTooLarge(param, maxBytes);
  const file = new GrowingBytes();
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (file.length + chunk.length > maxBytes) throw fileTooLarge(param, maxBytes);
      file.add(chunk);
    }
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof RequestError) throw cause;
    throw notDownloaded(param, "the connection broke off", cause);
  }
  return file.bytes;
}

export function isHttp({ protocol }: URL): boolean {
  return protocol === "http:" || protocol === "https:";
}

function isWithoutCredentials({ username, password }: URL): boolean {
  return username === "" && password === "";
}

function notAllowed(url: URL, param: string): RequestError {
  const message = isWithoutCredentials(url)
    ? `${param}: downloads from ${url.host} are not allowed; send the file itself as a data URI, or start the server with --allow-media-domain ${url.host}`
    : `${param}: expected a URL without user name and password, got one with them; leave them out or send the file itself as a data URI`;
  return new RequestError(message, { code: "invalid_image_url", param });
}

function unreachable(param: string, cause: unknown): RequestError {
  return notDownloaded(param, "the host could not be reached", cause);
}

function notDownloaded(param: string, reason: string, cause?: unknown): RequestError {
  const message = `${param}: the file could not be downloaded: ${reason}; check the URL, or send the file itself as a data URI`;
  return new RequestError(message, { code: "failed_to_download_image", param, cause });
}
