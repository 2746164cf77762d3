// Expects that the read of a file is refused, and returns the error.

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

/** A request for a file of at most 1,000 bytes, from a client that does not disconnect. */
export const request = { param, maxBytes: 1000, signal: new AbortController().signal };
