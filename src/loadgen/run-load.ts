// Sends the requests of a load: at planned times, or each as soon as an earlier one has finished.

import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "../client/connection.ts";
import { sendRequest } from "../client/send-request.ts";
import { isComplete, type RequestRecord } from "./request-record.ts";

type Load = {
  /** One JSON body per request. */
  readonly bodies: readonly string[];
  /** Index of the first request in the whole load. */
  readonly firstIndex?: number;
  /** One time per body, in milliseconds after the start, ascending. Undefined: all at once. */
  readonly arrivalsMs?: readonly number[] | undefined;
  /** The most requests in flight. A request that is due waits until another finishes. */
  readonly concurrency: number;
  readonly path: string;
  readonly timeoutMs: number;
};

/** The progress of a running load. `tokens` counts chunks with text; most servers send one token per chunk. */
export type LoadProgress = { done: number; running: number; failed: number; tokens: number };

export type LoadResult = {
  /** In the order of the load, without interrupted requests. */
  readonly records: readonly RequestRecord[];
  readonly durationMs: number;
};

/** When the signal aborts, returns what has finished. Updates `progress`, which the caller may read at any time. */
export async function runLoad(connection: Connection, load: Load, signal: AbortSignal, progress?: LoadProgress): Promise<LoadResult> {
  const { bodies, arrivalsMs, firstIndex = 0 } = load;
  const seen = progress ?? { done: 0, running: 0, failed: 0, tokens: 0 };
  const records: RequestRecord[] = [];
  setMaxListeners(0, signal); // each request in flight adds a listener
  const beginMs = performance.now();
  let next = 0;
  const onText = (): void => void seen.tokens++;

  async function work(): Promise<void> {
    while (next < bodies.length && !signal.aborted) {
      const index = next++;
      const dueMs = arrivalsMs?.[index] ?? 0;
      await waitUntil(beginMs + dueMs, signal);
      if (signal.aborted) return;
      const startMs = performance.now() - beginMs;
      seen.running++;
      const measured = await sendRequest(connection, bodies[index]!, { ...load, signal, onText });
      seen.running--;
      if (measured.failure?.kind === "interrupted") return;
      const lateMs = arrivalsMs ? startMs - dueMs : 0;
      const record = { index: firstIndex + index, startMs, lateMs, ...measured };
      records.push(record);
      seen.done++;
      if (!isComplete(record)) seen.failed++;
    }
  }

  await Promise.all(Array.from({ length: Math.min(load.concurrency, bodies.length) }, work));
  return { records: records.toSorted((a, b) => a.index - b.index), durationMs: performance.now() - beginMs };
}

/** Node fires longer timers immediately. */
const maxSleepMs = 2 ** 31 - 1;

/** Sleeps repeatedly, because a timer can fire early: it counts from when the event loop last updated its clock. */
async function waitUntil(timeMs: number, signal: AbortSignal): Promise<void> {
  for (let ms = timeMs - performance.now(); ms > 0 && !signal.aborted; ms = timeMs - performance.now()) {
    await sleep(Math.min(ms, maxSleepMs), undefined, { signal }).catch(() => {}); // the caller checks the signal
  }
}
