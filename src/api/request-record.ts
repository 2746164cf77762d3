// What is known of one HTTP request: its id, its log line, what is counted of it. Never text, keys or pictures.

import { randomUUID } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { monotonicMs } from "../core/clock.ts";
import type { ChatEvent } from "../core/events.ts";
import { type AppOptions, defaultLimits } from "./app-options.ts";
import { BodyMemory } from "./body-memory.ts";
import { toErrorAnswer } from "./error-envelope.ts";
import { GenerationRecord, roundMs } from "./generation-record.ts";
import { toPathTemplate } from "./route.ts";

export type AppEnv = {
  Variables: {
    record: RequestRecord;
    /** Stands for the client's key; undefined where the server has none. */
    cacheSalt: string | undefined;
    /** Of the app's options. */
    stopping: AbortSignal | undefined;
  };
};

/** Nginx's status for a client that left before its answer; seen only in logs and metrics. */
export const clientGoneStatus = 499;

/** A request that is over. */
export type RequestSummary = {
  readonly id: string;
  readonly method: string;
  /** Its pattern, e.g. `/v1/models/{id}`; `unmatched` where there is none. */
  readonly route: string;
  readonly status: number;
  readonly errorCode: string | undefined;
  /** By `monotonicMs`. */
  readonly arrivalMs: number;
  readonly endMs: number;
  readonly generation: GenerationRecord | undefined;
  /** The client's headers of these names, as they came. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
};

type Sinks = Pick<AppOptions, "log" | "metrics" | "trace">;
type Shared = Sinks & { readonly bodies: BodyMemory };
type RequestHead = Pick<RequestSummary, "id" | "method" | "route" | "traceparent" | "tracestate"> & { readonly path: string };

const saneRequestId = /^[\w.:-]{1,128}$/;
/** Read by probes and scrapers every few seconds; those that succeed are worth neither a line nor a trace. */
const quietRoutes = ["/health", "/health/ready", "/health/live", "/metrics"];

/** Gives every request an id (the client's own when it is sane), which the answer carries, and one line in the log. */
export function recordRequests(options: Sinks & Pick<AppOptions, "limits">): MiddlewareHandler<AppEnv> {
  const shared = { ...options, bodies: new BodyMemory({ ...defaultLimits, ...options.limits }.allBodiesBytes) };
  return async function recordRequest(c, next) {
    const sentId = c.req.header("x-request-id");
    const id = sentId !== undefined && saneRequestId.test(sentId) ? sentId : `req_${randomUUID().replaceAll("-", "")}`;
    const route = routePattern(matchedRoutes(c).map(({ path }) => path));
    const [traceparent, tracestate] = [c.req.header("traceparent"), c.req.header("tracestate")];
    const record = new RequestRecord(shared, { id, method: c.req.method, route, path: c.req.path, traceparent, tracestate });
    c.set("record", record);
    c.header("x-request-id", id);
    c.header("request-id", id); // where Anthropic's clients look
    await next();
    record.keyLabel = c.get("cacheSalt")?.slice(0, 8);
    if (!record.isStream) record.write(c.res.status);
  };
}

/** The pattern of the route among those that middleware matches too. */
function routePattern(matched: readonly string[]): string {
  const pattern = matched.findLast((path) => path !== "/*" && path !== "*");
  return pattern === undefined ? "unmatched" : toPathTemplate(pattern);
}

export class RequestRecord {
  /** A stream's end is known only to its body. */
  isStream = false;
  /** The first characters of the SHA-256 of the client's key. */
  keyLabel: string | undefined;
  readonly #sinks: Shared;
  readonly #head: RequestHead;
  readonly #arrivalMs = monotonicMs();
  #generation: GenerationRecord | undefined;
  #error: { readonly code: string; readonly status: number; readonly cause: string | undefined } | undefined;
  #bodyBytes = 0;
  #isWritten = false;

  constructor(sinks: Shared, head: RequestHead) {
    this.#sinks = sinks;
    this.#head = head;
  }

  get id(): string {
    return this.#head.id;
  }

  /** So many bytes of the body came; they count until the request is over. Throws RequestError (429) when all requests hold too many. */
  holdBody(bytes: number): void {
    this.#sinks.bodies.take(bytes);
    this.#bodyBytes += bytes;
  }

  /** The model begins to work on so many answers. */
  begin(choiceCount: number): GenerationRecord {
    this.#generation = new GenerationRecord(this.#sinks.metrics, this.#arrivalMs, choiceCount);
    return this.#generation;
  }

  /** Takes the figures out of an event of the answer. */
  see(event: ChatEvent): void {
    this.#generation?.see(event);
  }

  /** Notes why the request failed. The server's own failures are logged in full; a client's mistake only by its code and its cause's. */
  fail(error: unknown): void {
    const { status, body } = toErrorAnswer(error);
    this.#error = { code: body.error.code ?? body.error.type, status, cause: causeCode(error) };
    this.#sinks.metrics.error(this.#error.code);
    if (status === 500) this.#sinks.log.error({ id: this.id, err: error }, "request failed");
  }

  /** Ends the record, once: counts the request and writes its log line. */
  write(status: number): void {
    if (this.#isWritten) return;
    this.#isWritten = true;
    this.#sinks.bodies.giveBack(this.#bodyBytes);
    const { method, path, ...head } = this.#head;
    const { log, metrics, trace } = this.#sinks;
    const endMs = monotonicMs();
    const totalMs = endMs - this.#arrivalMs;
    metrics.request(head.route, status);
    this.#generation?.end({ isAborted: status === clientGoneStatus, errorStatus: this.#error?.status, totalMs });
    if (status === 200 && quietRoutes.includes(head.route)) return;
    log.info(
      {
        id: this.id,
        route: `${method} ${path.slice(0, 200)}`,
        status,
        ...(this.keyLabel !== undefined && { key: this.keyLabel }),
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

/** What the system or a library says of a failed download or file, such as `ENOTFOUND`; its message may name what nobody may know. */
function causeCode(error: unknown): string | undefined {
  const code = ((error as Error).cause as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}
