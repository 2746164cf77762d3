// HTTP client for one server: keeps connections, streams answers. Uses node:http, which has the least overhead per chunk.

import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { UserError } from "../core/errors.ts";
import { parseJson } from "../core/parse-json.ts";

const maxJsonBytes = 64 * 2 ** 20;

/** The deadline of a request has passed. */
export class TimeoutError extends Error {
  override readonly name = "TimeoutError";
}

type PostOptions = {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
};

export class Connection {
  /** Without credentials, trailing slash and `/v1`. */
  readonly baseUrl: string;
  readonly #agent: HttpAgent;
  readonly #request: typeof httpRequest;
  /** With credentials. */
  readonly #url: string;
  readonly #headers: Record<string, string>;

  /**
   * Takes `http://host:port`, with or without `/v1`, a path before it or credentials. Throws a UserError for anything else. An empty key is
   * none: a variable may be set to nothing.
   */
  constructor(url: string, apiKey: string | undefined) {
    const address = URL.canParse(url) ? new URL(url) : undefined;
    if (!address || !/^https?:$/.test(address.protocol) || address.search || address.hash) {
      const hint = /^[\w.-]+(:\d+)?(\/|$)/.test(url) ? `write http://${url}` : "include http:// or https://";
      throw new UserError(`expected an address such as http://localhost:8000, got ${url === "" ? "nothing" : url}; ${hint}`);
    }
    if (apiKey !== undefined && !/^[\x21-\x7e]*$/.test(apiKey)) {
      throw new UserError("--api-key (or OPENAI_API_KEY): expected printable ASCII without spaces, got other characters");
    }
    address.pathname = address.pathname.replaceAll(/\/{2,}/g, "/").replace(/(\/v1)?(\/chat\/completions)?\/?$/, "");
    const withoutEnd = (text: string) => text.replace(/\/$/, "");
    this.baseUrl = withoutEnd(address.origin + address.pathname);
    this.#url = withoutEnd(address.href);
    const isTls = address.protocol === "https:";
    this.#agent = new (isTls ? HttpsAgent : HttpAgent)({ keepAlive: true, noDelay: true });
    this.#request = isTls ? httpsRequest : httpRequest;
    this.#headers = apiKey === undefined || apiKey === "" ? {} : { authorization: `Bearer ${apiKey}` };
  }

  /**
   * The answer with its headers; its body is the caller's to read. Rejects with a TimeoutError, the signal's reason or Node's error. Redirects are
   * not followed: another host must not get the key, nor the request.
   */
  send(method: "GET" | "POST", path: string, body: string | undefined, options: PostOptions): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      options.signal?.throwIfAborted();
      const headers = { ...this.#headers, ...(body !== undefined && bodyHeaders(body)) };
      const request = this.#request(`${this.#url}${path}`, { method, agent: this.#agent, headers });
      let answer: IncomingMessage | undefined;
      // Once there is an answer, its reader gets the error.
      const stop = (reason: unknown): void =>
        void (answer ?? request).destroy(reason instanceof Error ? reason : new Error(String(reason)));
      const onAbort = (): void => stop(options.signal?.reason);
      const timer = setTimeout(() => stop(new TimeoutError(`no complete answer within ${options.timeoutMs} ms`)), options.timeoutMs);
      options.signal?.addEventListener("abort", onAbort, { once: true });
      request.once("response", (response) => {
        answer = response;
        const { statusCode = 0, headers } = response;
        if (statusCode < 300 || statusCode >= 400 || headers.location === undefined) return resolve(response);
        reject(new Error(`the server redirects to ${headers.location.slice(0, 200)}, which is not followed`));
        request.destroy();
      });
      request.once("error", (error: NodeJS.ErrnoException) => {
        // The server may close an idle connection just as we reuse it: send the request again.
        if (!answer && request.reusedSocket && error.code === "ECONNRESET") resolve(this.send(method, path, body, options));
        else reject(error);
      });
      request.once("close", () => {
        clearTimeout(timer);
        options.signal?.removeEventListener("abort", onAbort);
        reject(new Error("the server closed the connection without an answer")); // it offered another protocol
      });
      request.end(body);
    });
  }

  /** Status and body of a small request; the body as it is where it is no JSON. */
  async json(method: "GET" | "POST", path: string, body: object | undefined, options: PostOptions) {
    const answer = await this.send(method, path, body && JSON.stringify(body), options);
    return { status: answer.statusCode ?? 0, body: await readBody(answer) };
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** JSON, or text where it is none. */
export async function readBody(answer: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > maxJsonBytes) throw new Error(`the answer has more than ${maxJsonBytes} bytes`);
    pieces.push(piece);
  }
  const text = Buffer.concat(pieces).toString("utf8");
  const value = parseJson(text);
  return value === undefined ? text : value;
}

function bodyHeaders(body: string): Record<string, string | number> {
  return { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
}
