// Sends one request of a batch, with retries, until it succeeds or fails for good.

import type { IncomingHttpHeaders } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, readBody } from "../client/connection.ts";
import { type RequestFailure, toConnectionFailure, toFailure } from "../client/failure.ts";
import { parseRetryAfter } from "../core/retry-after.ts";

const firstBackoffMs = 1000;
const maxBackoffMs = 60_000;
const maxAskedWaitMs = 600_000;

export type AskOptions = {
  /** For one try. */
  readonly timeoutMs: number;
  /** After the first try. */
  readonly retries: number;
  /** How many requests of the batch have been answered so far. */
  readonly answeredCount: () => number;
  /** No further try, and no waiting for one. */
  readonly stop: AbortSignal;
  /** Not even the answer of the try under way. */
  readonly abort: AbortSignal;
  /** Ends early, without an error, when the signal aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
};

export type HttpAnswer = { readonly status: number; readonly requestId: string; readonly body: unknown };

export type Outcome =
  | { readonly type: "answered"; readonly answer: HttpAnswer }
  | {
      readonly type: "failed";
      /** Missing where the connection failed. */
      readonly answer?: HttpAnswer;
      readonly failure: RequestFailure;
      /** It tells of the server, not of the request. */
      readonly isOfServer: boolean;
    }
  /** By the user; it is as if it had never been sent. */
  | { readonly type: "stopped" };

/** `againAfterMs`: as the server asks, or "soon"; undefined: the next try would end as this one. */
type Try = { readonly outcome: Outcome; readonly againAfterMs?: number | "soon" };

/**
 * Retries 408, 429, 5xx and broken connections, but not timeouts: the answer would take as long again. A 429 of a server that has answered others
 * since the last try does not count as one: it is only busy. Never throws.
 */
export async function ask(connection: Connection, path: string, body: string, options: AskOptions): Promise<Outcome> {
  const { retries, answeredCount, stop, abort, wait } = options;
  let failures = 0;
  let answeredBefore = answeredCount();
  for (;;) {
    if (stop.aborted) return { type: "stopped" };
    const { outcome, againAfterMs } = await tryOnce(connection, path, body, options);
    if (outcome.type !== "failed") return outcome;
    if (abort.aborted) return { type: "stopped" };
    const isOnlyBusy = outcome.answer?.status === 429 && answeredCount() > answeredBefore;
    answeredBefore = answeredCount();
    if (!isOnlyBusy) failures++;
    if (againAfterMs === undefined || failures > retries) return outcome;
    // Jitter: requests that failed together should not all retry together.
    const backoffMs = Math.min(firstBackoffMs * 2 ** Math.max(failures - 1, 0), maxBackoffMs) * (0.5 + Math.random() / 2);
    await wait(againAfterMs === "soon" ? backoffMs : Math.min(againAfterMs, maxAskedWaitMs), stop);
  }
}

async function tryOnce(connection: Connection, path: string, body: string, { timeoutMs, abort }: AskOptions): Promise<Try> {
  try {
    const response = await connection.send("POST", path, body, { timeoutMs, signal: abort });
    const { statusCode: status = 0, headers } = response;
    const answer = { status, requestId: String(headers["x-request-id"] ?? ""), body: await readBody(response) };
    if (status !== 200) return refused(answer, headers);
    if (typeof answer.body === "object" && answer.body !== null) return { outcome: { type: "answered", answer } };
    const failure = { kind: "malformed answer", message: `expected JSON, got ${String(answer.body).slice(0, 100)}` };
    return { outcome: { type: "failed", answer, failure, isOfServer: false } };
  } catch (error) {
    const outcome = { type: "failed", failure: toConnectionFailure(error), isOfServer: true } as const;
    const isBroken = (error as NodeJS.ErrnoException).code !== undefined; // else too slow or too long
    return isBroken ? { outcome, againAfterMs: "soon" } : { outcome };
  }
}

function refused(answer: HttpAnswer, headers: IncomingHttpHeaders): Try {
  const { status, body } = answer;
  // OpenAI's clients obey the header too; this program sends it with what would fail again.
  const mayPass = (status === 408 || status === 429 || (status >= 500 && status !== 501)) && headers["x-should-retry"] !== "false";
  // A key that is refused is refused for all, and waiting does not help.
  const isOfServer = mayPass || status === 401;
  const outcome = { type: "failed", answer, failure: toFailure(`HTTP ${status}`, body), isOfServer } as const;
  return mayPass ? { outcome, againAfterMs: parseRetryAfter(headers["retry-after"]) ?? "soon" } : { outcome };
}

/** The time in which something may pass; none once the signal aborts. */
export async function waitUnless(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {}); // the caller looks at the signal
}
