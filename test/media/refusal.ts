// The RequestError that a reading ends with.

import { RequestError } from "../../src/core/errors.ts";

export async function refusal(reading: Promise<unknown>): Promise<RequestError> {
  const outcome: unknown = await reading.then(
    () => "the file was read",
    (reason: unknown) => reason,
  );
  if (outcome instanceof RequestError) return outcome;
  throw new Error(`expected a RequestError, got ${String(outcome)}`);
}

export const param = "messages[0].content[1].image_url.url";

/** A request for a file with room for 1,000 bytes and a client that stays. */
export const request = { param, maxBytes: 1000, signal: new AbortController().signal };
