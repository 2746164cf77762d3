// What is known of one HTTP request: its id and the figures of its log line. Never text, keys or pictures.

import { randomUUID } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { ChatEvent } from "../core/events.ts";
import type { Log } from "./app-options.ts";
import { toErrorAnswer } from "./error-envelope.ts";

export type AppEnv = {
  Variables: {
    record: RequestRecord;
    /** Stands for the client's key; undefined where the server has none. */
    cacheSalt: string | undefined;
  };
};

/** Nginx's status for a client that left before its answer; seen only in the log. */
export const clientGoneStatus = 499;

const saneRequestId = /^[\w.:-]{1,128}$/;

/** Gives every request an id (the client's own when it is sane), which the answer carries, and one line in the log. */
export function recordRequests(log: Log): MiddlewareHandler<AppEnv> {
  return async function recordRequest(c, next) {
    const sentId = c.req.header("x-request-id");
    const id = sentId !== undefined && saneRequestId.test(sentId) ? sentId : `req_${randomUUID().replaceAll("-", "")}`;
    const record = new RequestRecord(log, id, `${c.req.method} ${c.req.path.slice(0, 200)}`);
    c.set("record", record);
    c.header("x-request-id", id);
    await next();
    if (!record.endsWithBody) record.write(c.res.status);
  };
}

export class RequestRecord {
  /** True for a stream, whose end is known only to the body. */
  endsWithBody = false;
  readonly id: string;
  readonly #log: Log;
  readonly #route: string;
  readonly #startMs = performance.now();
  readonly #figures: Record<string, unknown> = {};
  #isWritten = false;

  constructor(log: Log, id: string, route: string) {
    this.#log = log;
    this.id = id;
    this.#route = route;
  }

  /** Takes the figures out of an event of the answer. */
  see(event: ChatEvent): void {
    const figures = this.#figures;
    if (event.type === "started") {
      figures.promptTokens = event.promptTokens;
      figures.imageTokens = event.imageTokens;
      figures.cachedTokens = event.cachedTokens;
    } else if (event.type === "finished") {
      figures.outputTokens = Number(figures.outputTokens ?? 0) + event.usage.completionTokens; // of several answers, all
      figures.finishReason = event.reason;
    } else {
      figures.firstTextMs ??= this.#elapsedMs();
    }
  }

  /** Notes why the request failed. The server's own failures are logged in full; a client's mistake only by its code. */
  fail(error: unknown): void {
    const { status, body } = toErrorAnswer(error);
    this.#figures.errorCode = body.error.code;
    if (status === 500) this.#log.error({ id: this.id, err: error }, "request failed");
  }

  /** Writes the log line, once. Health probes that succeed are not worth one. */
  write(status: number): void {
    if (this.#isWritten || (this.#route === "GET /health" && status === 200)) return;
    this.#isWritten = true;
    this.#log.info({ id: this.id, route: this.#route, status, ...this.#figures, totalMs: this.#elapsedMs() }, "request");
  }

  #elapsedMs(): number {
    return Math.round((performance.now() - this.#startMs) * 10) / 10;
  }
}
