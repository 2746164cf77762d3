// The measurements of one request of a load: times as seen by the client, token counts as reported by the server.

import type { MeasuredAnswer } from "../client/send-request.ts";

export type RequestRecord = MeasuredAnswer & {
  /** Position in the load. The same seed gives the same request at the same index. */
  readonly index: number;
  /** When the request was sent, in milliseconds since the load began. */
  readonly startMs: number;
  /** Delay between the planned time and the time it was sent. */
  readonly lateMs: number;
};

/** Answered in full. */
export function isComplete(record: RequestRecord): boolean {
  return record.failure === undefined;
}

/** Milliseconds per token after the first; undefined if there was no second token. */
export function timePerOutputToken({ e2elMs, ttftMs, outputTokens }: RequestRecord): number | undefined {
  return ttftMs === undefined || outputTokens < 2 ? undefined : (e2elMs - ttftMs) / (outputTokens - 1);
}
