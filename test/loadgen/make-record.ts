// Records of requests as tests need them.

import type { RequestRecord } from "../../src/loadgen/request-record.ts";

/** An answer of four tokens: the first after 100 ms, then one every 20 ms. */
export function makeRecord(fields: Partial<RequestRecord> = {}): RequestRecord {
  return {
    index: 0,
    startMs: 0,
    lateMs: 0,
    e2elMs: 160,
    ttftMs: 100,
    gapsMs: [20, 20, 20],
    promptTokens: 10,
    cachedTokens: 0,
    outputTokens: 4,
    tokensFrom: "usage",
    finishReason: "length",
    ...fields,
  };
}

export const failed = (kind: string, message = "no"): Partial<RequestRecord> => ({
  failure: { kind, message },
  ttftMs: undefined,
  gapsMs: [],
  promptTokens: 0,
  outputTokens: 0,
});
