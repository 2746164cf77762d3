// The HTTP server around the app: how long it waits for slow or silent clients, and how much of a header it takes.

import { createServer, type Server } from "node:http";
import { getRequestListener, type Http2Bindings, type HttpBindings, RequestError as MalformedRequest } from "@hono/node-server";
import { toErrorAnswer } from "../api/error-envelope.ts";
import { RequestError } from "../core/errors.ts";
import { answerHalfClosedReaders } from "./half-closed.ts";
import { MergedMessage } from "./merged-message.ts";
import { OpenAnswers } from "./open-answers.ts";
import { disconnectStalledClients, limitUnreadBytes } from "./stalled-clients.ts";
import { answerUnparsed, maxHeaderBytes } from "./unparsed-requests.ts";

export type ServerTimeouts = {
  /** From the first byte (or the connection, if none comes) to the end of the headers. */
  readonly headersMs: number;
  /** From the first byte to the end of the body. An answer may take as long as it likes. */
  readonly requestMs: number;
  /** How long a connection may be idle between two requests. */
  readonly idleMs: number;
  /** How long a client may read nothing of an answer that is ready. */
  readonly stalledMs: number;
  /** How often connections are looked at. */
  readonly checkMs: number;
};

/** Most answers are a few kB, and a client that reads takes them at once. */
const defaultMaxUnreadBytes = 2 ** 30;

/** The largest body, 64 MiB, takes less at 5 Mbit/s. Proxies keep idle connections for 60 s: if we closed them earlier, requests would get lost. */
const defaultTimeouts: ServerTimeouts = { headersMs: 20_000, requestMs: 120_000, idleMs: 75_000, stalledMs: 60_000, checkMs: 5_000 };

/** A client can send hundreds of short requests in one packet, and Node would answer them all before it looks at any other connection. */
const maxPipelined = 20;

/** A machine that has vanished closes no connection. Once asked, the system asks on (Linux: 9 times, 75 s apart), then the connection is lost. */
const probeSilentMs = 60_000;

/**
 * Clients that are too slow get a 408 and are disconnected; a longer header gets a 431. `closeIdleConnections`, which `close` calls, treats
 * every connection without a running answer as idle.
 */
export function createHttpServer(
  fetch: (request: Request) => Response | Promise<Response>,
  { headersMs, requestMs, idleMs, stalledMs, checkMs }: ServerTimeouts = defaultTimeouts,
  maxUnreadBytes = defaultMaxUnreadBytes,
): Server {
  const serverOptions = {
    headersTimeout: headersMs,
    requestTimeout: requestMs,
    keepAliveTimeout: idleMs,
    connectionsCheckingInterval: checkMs,
    maxHeaderSize: maxHeaderBytes,
    keepAlive: true,
    keepAliveInitialDelay: probeSilentMs,
    requireHostHeader: false, // Node's refusal would have no body
    IncomingMessage: MergedMessage,
  };
  const answer = async (request: Request, bindings: Http2Bindings | HttpBindings): Promise<Response> => {
    const { incoming, outgoing } = bindings as HttpBindings;
    if (incoming.headers.host === undefined && incoming.httpVersion !== "1.0") return answerMalformed(new MalformedRequest("no Host"));
    if (answers.of(incoming.socket).size >= maxPipelined) return refuse(tooManyPipelined());
    const response = await fetch(request);
    await answers.sayIfLast(outgoing);
    return response;
  };
  // `hostname` is for requests that name none: load balancers probe in HTTP/1.0.
  const server = createServer(serverOptions, getRequestListener(answer, { hostname: "localhost", errorHandler: answerMalformed }));
  const answers = new OpenAnswers(server);
  server.closeIdleConnections = () => answers.closeIdle();
  disconnectStalledClients(server, answers, stalledMs);
  limitUnreadBytes(server, answers, maxUnreadBytes);
  answerHalfClosedReaders(server, answers);
  answerUnparsed(server, answers);
  return server;
}

/** Answers requests that never reach the app because they form no URL. */
function answerMalformed(error: unknown): Response {
  const refusal = new RequestError("the Host header and the path do not form a valid URL; check both", { cause: error });
  return refuse(error instanceof MalformedRequest ? refusal : error);
}

function tooManyPipelined(): RequestError {
  const message = `${maxPipelined} requests on this connection are not answered yet; wait for their answers, or open further connections`;
  return new RequestError(message, { status: 429, code: "too_many_requests", retryAfterMs: 1_000 });
}

function refuse(error: unknown): Response {
  const { status, headers, body } = toErrorAnswer(error);
  return new Response(JSON.stringify(body), { status, headers: { ...headers, "content-type": "application/json" } });
}
