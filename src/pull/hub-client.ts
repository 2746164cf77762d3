// Every request to the hub goes through here: redirects, the token, the proxy, and what an answer other than success means.

import { EnvHttpProxyAgent, fetch, type Response as HubResponse } from "undici";
import { UserError } from "../core/errors.ts";
import { LinkedAbort } from "../core/linked-abort.ts";
import { parseRetryAfter } from "../core/retry-after.ts";
import type { HubAccess } from "./hub-access.ts";
import { TransientError, withRetries, type Patience } from "./retry.ts";

const maxRedirects = 5;

/** Limit on all answers of the hub's API together: what it says of a checkpoint takes some 100 kB, in one or two pages. */
const maxApiBytes = 64 * 2 ** 20;
/** Counted of each answer at least, so that a listing of empty pages ends too: after 1,024 of them. */
const leastApiBytes = 2 ** 16;

type HubQuestion = { readonly repository: string; readonly revision: string };

/** For one repository at one revision, which its messages name. */
export class HubClient {
  readonly #access: HubAccess;
  readonly #question: HubQuestion;
  readonly #origin: string;
  readonly #dispatcher: EnvHttpProxyAgent;
  #reached = false;

  /** `question`: as the operator put it. */
  constructor(access: HubAccess, question: HubQuestion) {
    this.#access = access;
    this.#question = question;
    this.#origin = new URL(access.endpoint).origin;
    const { http, https, except } = access.proxies;
    // Only what is encrypted needs a tunnel, and many proxies allow none for anything else.
    this.#dispatcher = new EnvHttpProxyAgent({ httpProxy: http, httpsProxy: https, noProxy: except, proxyTunnel: false });
  }

  /**
   * A `fetch` for the hub library that retries and reads the whole body, so that a cut in the middle is retried too. Throws a UserError when the
   * bodies are more than any repository needs.
   */
  apiFetch(patience: Patience, timeoutMs: number): typeof globalThis.fetch {
    let bytesLeft = maxApiBytes;
    const take = (bytes: number): void => {
      bytesLeft -= bytes;
      if (bytesLeft < 0)
        throw new UserError(`${this.#origin}: expected at most ${maxApiBytes} bytes about a repository, got more; check HF_ENDPOINT`);
    };
    return (input) =>
      withRetries(async () => {
        const abort = new LinkedAbort(patience.signal);
        const timer = setTimeout(() => abort.abort(new DOMException("no answer in time", "TimeoutError")), timeoutMs);
        try {
          const url = input instanceof Request ? input.url : String(input);
          const response = await this.get(url, { accept: "application/json" }, abort);
          take(leastApiBytes);
          const body = await abort.race(readBody(response, take)).catch((error: unknown) => {
            if (error instanceof UserError) throw error;
            throw new TransientError(`the connection to ${new URL(url).host} broke`, { cause: error });
          });
          return new Response(body, { status: response.status, headers: response.headers });
        } finally {
          clearTimeout(timer);
          abort.unlink();
        }
      }, patience);
  }

  /**
   * A successful answer, after redirects. Throws a TransientError when trying again may help, else a UserError. Redirects are followed
   * here and not by `fetch`, so that the token plainly goes to the hub's own origin only.
   */
  async get(address: string, headers: Record<string, string>, abort: LinkedAbort): Promise<HubResponse> {
    let url = new URL(address);
    for (let hop = 0; hop <= maxRedirects; hop++) {
      const response = await this.#send(url, headers, abort);
      if (response.ok) return response;
      void response.body?.cancel().catch(() => {}); // nothing waits for it
      const location = response.headers.get("location");
      if (response.status < 300 || response.status >= 400 || location === null) throw this.#refusal(url, response);
      if (!URL.canParse(location, url.href)) throw new UserError(`${url.host} redirects to an invalid address`);
      url = new URL(location, url);
      if (!/^https?:$/.test(url.protocol)) throw new UserError(`expected a redirect to http or https, got ${url.protocol}`);
    }
    throw new UserError(`expected at most ${maxRedirects} redirects from ${new URL(address).host}, got more; check HF_ENDPOINT`);
  }

  async #send(url: URL, headers: Record<string, string>, abort: LinkedAbort): Promise<HubResponse> {
    const { token } = this.#access;
    const secret = token !== undefined && url.origin === this.#origin ? { authorization: `Bearer ${token}` } : undefined;
    try {
      const options = { headers: { ...headers, ...secret }, redirect: "manual", dispatcher: this.#dispatcher } as const;
      const response = await abort.race(fetch(url, { ...options, signal: abort.signal }));
      this.#reached = true;
      return response;
    } catch (error) {
      const message = `cannot reach ${url.origin} (${reasonOf(error as Error)})`;
      // A hub that never answered is most likely a mistake: waiting would only hide it.
      if (!this.#reached) throw new UserError(`${message}; check the network, HTTPS_PROXY and HF_ENDPOINT`, { cause: error });
      throw new TransientError(message, { cause: error });
    }
  }

  #refusal(url: URL, response: HubResponse): Error {
    const { status } = response;
    if (status === 408 || status === 429 || status >= 500) {
      const what = status === 429 ? "asks to slow down" : "failed";
      return new TransientError(`${url.host} ${what} (${status})`, { retryAfterMs: parseRetryAfter(response.headers.get("retry-after")) });
    }
    // Storage hosts sign their addresses for minutes; the hub hands out a new one at the next try.
    if (url.origin !== this.#origin) return new TransientError(`${url.host} refused a file (${status})`);
    const { repository, revision } = this.#question;
    const code = response.headers.get("x-error-code");
    const page = `${this.#access.endpoint}/${repository}`;
    const hasToken = this.#access.token !== undefined;
    if (status === 401 || status === 403) {
      const advice = hasToken
        ? "the token (HF_TOKEN or the stored login) is invalid or may not read it; a public repository needs none"
        : "check the name; if it is private or gated, set HF_TOKEN";
      if (code !== "GatedRepo") return new UserError(`${repository}: access refused (${status}); ${advice}`);
      return new UserError(`${repository} is gated: accept its licence on ${page}, then set HF_TOKEN to a token of that account`);
    }
    if (status !== 404) return new UserError(`${url.host} answered ${status} to ${url.pathname}; check HF_ENDPOINT`);
    if (code === "RevisionNotFound") return new UserError(`${repository} has no revision ${JSON.stringify(revision)}; check --revision`);
    if (code === "EntryNotFound") return new UserError(`${url.pathname}: the file is gone from the hub; run the same command again`);
    return new UserError(
      `no repository ${repository} on ${this.#access.endpoint}; check the name${hasToken ? "" : ", or set HF_TOKEN if it is private"}`,
    );
  }
}

/** `take` is told of all bytes before they are kept; what it throws ends the reading. */
async function readBody({ body }: HubResponse, take: (bytes: number) => void): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of (body ?? []) as AsyncIterable<Uint8Array>) {
    take(piece.length);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** Why nothing was answered, in a word or a system's code. */
function reasonOf({ name, cause }: Error): string {
  if (name === "TimeoutError") return "no answer in time";
  if (!(cause instanceof Error)) return "connection failed";
  const [, status] = /^Proxy .*\((\d{3})\)/.exec(cause.message) ?? [];
  if (status !== undefined) return `the proxy answered ${status}`;
  if (cause.cause instanceof Error) return reasonOf(cause);
  return (cause as NodeJS.ErrnoException).code ?? cause.message;
}
