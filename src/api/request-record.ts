// Records one HTTP request: its id, its log line, its metrics. Never texts, keys or pictures.

import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { monotonicMs } from "../core/clock.ts";
import type { ChatEvent } from "../core/events.ts";
import { printable } from "../core/printable.ts";
import type { WorkGate } from "../core/work-gate.ts";
import type { AppOptions, RouteOptions } from "./app-options.ts";
import { BodyMemory } from "./body-memory.ts";
import { toErrorAnswer } from "./error-envelope.ts";
import { GenerationRecord, roundMs } from "./generation-record.ts";
import { randomId } from "./random-id.ts";
import { toPathTemplate } from "./route.ts";

export type AppEnv = {
  Variables: {
    record: RequestRecord;
    /** Stands for the client's key; undefined where the server has none. */
    cacheSalt: string | undefined;
    /** From the app's options. */
    stopping: AbortSignal | undefined;
    /** In which bodies are read. */
    turns: WorkGate;
  };
};

/** Nginx's status for a client that left before its answer; seen only in logs and metrics. */
export const clientGoneStatus = 499;

/** A finished request. */
export type RequestSummary = {
  readonly id: string;
  readonly method: string;
  /** The route's pattern, e.g. `/v1/models/{id}`; `unmatched` where there is none. */
  readonly route: string;
  readonly status: number;
  readonly errorCode: string | undefined;
  /** By `monotonicMs`. */
  readonly arrivalMs: number;
  readonly endMs: number;
  readonly generation: GenerationRecord | undefined;
  /** The client's headers of these names, unchanged. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
};

type Sinks = Pick<AppOptions, "log" | "metrics" | "trace">;
type Shared = Sinks & { readonly bodies: BodyMemory };
type RequestHead = Pick<RequestSummary, "id" | "method" | "route" | "traceparent" | "tracestate"> & { readonly path: string };

const saneRequestId = /^[\w.:-]{1,128}$/;
/** Probes and scrapers call these every few seconds, so successful calls get neither a log line nor a trace. */
const quietRoutes = ["/health", "/health/ready", "/health/live", "/metrics"];

/** Gives every request an id (the client's own if it is well-formed), which the answer carries, and one log line. */
export function recordRequests(options: Sinks & Pick<RouteOptions, "limits">): MiddlewareHandler<AppEnv> {
  const shared = { ...options, bodies: new BodyMemory(options.limits.allBodiesBytes) };
  return async function recordRequest(c, next) {
    const sentId = c.req.header("x-request-id");
    const id = sentId !== undefined && saneRequestId.test(sentId) ? sentId : `req_${randomId()}`;
    const route = routePattern(matchedRoutes(c).map(({ path }) => path));
    const [traceparent, tracestate] = [c.req.header("traceparent"), c.req.header("tracestate")];
    const record = new RequestRecord(shared, { id, method: c.req.method, route, path: c.req.path, traceparent, tracestate });
    c.set("record", record);
    c.header("x-request-id", id);
    c.header("request-id", id); // the name that Anthropic's clients read
    await next();
    if (!record.isStream) record.write(c.res.status);
  };
}

/** The pattern of the route, among the patterns of middleware that matched too. */
function routePattern(matched: readonly string[]): string {
  const pattern = matched.findLast((path) => path !== "/*" && path !== "*");
  return pattern === undefined ? "unmatched" : toPathTemplate(pattern);
}

export class RequestRecord {
  /** If true, the record is written when the stream's body ends. */
  isStream = false;
  /** Whose key the request has; undefined where it has none of this server's. */
  keyLabel: string | undefined;
  /** Names of fields of the body that this server does not know. */
  unknownFields: readonly string[] | undefined;
  readonly #sinks: Shared;
  readonly #head: RequestHead;
  readonly #arrivalMs = monotonicMs();
  #generation: GenerationRecord | undefined;
  #error: { readonly code: string; readonly status: number; readonly cause: string | undefined } | undefined;
  #body: { readonly client: string | undefined; bytes: number } | undefined;
  #isWritten = false;

  constructor(sinks: Shared, head: RequestHead) {
    this.#sinks = sinks;
    this.#head = head;
  }

  get id(): string {
    return this.#head.id;
  }

  /** Counts bytes of the body until the request is over. Throws RequestError (429) when all requests together, the client's above all, hold too many. */
  holdBody(client: string | undefined, bytes: number): void {
    this.#sinks.bodies.take(client, bytes);
    this.#body ??= { client, bytes: 0 };
    this.#body.bytes += bytes;
  }

  /** Starts the record of this many answers. */
  begin(choiceCount: number): GenerationRecord {
    this.#generation = new GenerationRecord(this.#sinks.metrics, this.#arrivalMs, choiceCount);
    return this.#generation;
  }

  /** Records an event of the answer. */
  see(event: ChatEvent): void {
    this.#generation?.see(event);
  }

  /** Notes why the request failed. Failures of the server are logged in full; a client's mistake only as its code and the code of its cause. */
  fail(error: unknown): void {
    const { status, body } = toErrorAnswer(error);
    this.#error = { code: body.error.code ?? body.error.type, status, cause: causeCode(error) };
    this.#sinks.metrics.error(this.#error.code);
    if (status === 500) this.#sinks.log.error({ id: this.id, err: error }, "request failed");
  }

  /** Counts the request and writes its log line. Does nothing the second time. */
  write(status: number): void {
    if (this.#isWritten) return;
    this.#isWritten = true;
    if (this.#body) this.#sinks.bodies.giveBack(this.#body.client, this.#body.bytes);
    const { method, path, ...head } = this.#head;
    const { log, metrics, trace } = this.#sinks;
    const endMs = monotonicMs();
    const totalMs = endMs - this.#arrivalMs;
    metrics.request(head.route, status);
    if (this.keyLabel !== undefined)
      metrics.requestByKey(this.keyLabel, this.#generation?.prompt?.promptTokens ?? 0, this.#generation?.generatedTokens ?? 0);
    this.#generation?.end({ isAborted: status === clientGoneStatus, errorStatus: this.#error?.status, totalMs });
    if (status === 200 && quietRoutes.includes(head.route)) return;
    log.info(
      {
        id: this.id,
        route: `${method} ${printable(path.slice(0, 200))}`,
        status,
        ...(this.keyLabel !== undefined && { key: this.keyLabel }),
        ...(this.unknownFields && { unknownFields: this.unknownFields }),
        ...(this.#generation && { stream: this.isStream, ...this.#generation.figures() }),
        ...(this.#error && { errorCode: this.#error.code }),
        ...(this.#error?.cause && { errorCause: this.#error.cause }),
        totalMs: roundMs(totalMs),
      },
      "request",
    );
    trace?.({ ...head, method, status, errorCode: this.#error?.code, arrivalMs: this.#arrivalMs, endMs, generation: this.#generation });
  }
}

/** The system's or a library's code for a failed download or file, such as `ENOTFOUND`. Its message is not logged: it may contain private names. */
function causeCode(error: unknown): string | undefined {
  const code = ((error as Error).cause as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}
