// The time that one request may take.

import { RequestError } from "../core/errors.ts";

/**
 * What `run` gives. Its signal aborts with the given one, and when the time is up: then with a RequestError (504) as the reason. Without
 * `timeoutMs`, time does not matter.
 */
export async function* withinTime<T>(
  timeoutMs: number | undefined,
  signal: AbortSignal,
  run: (signal: AbortSignal) => AsyncIterable<T>,
): AsyncGenerator<T, void> {
  if (timeoutMs === undefined) return yield* run(signal);
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(timeIsUp(timeoutMs)), timeoutMs);
  try {
    yield* run(AbortSignal.any([signal, end.signal]));
  } finally {
    clearTimeout(timer);
  }
}

function timeIsUp(timeoutMs: number): RequestError {
  const message = `the answer was not complete after ${timeoutMs / 1000} s, which is all that a request may take; ask for fewer tokens, or start the server with a longer --request-timeout`;
  return new RequestError(message, { status: 504, code: "request_timeout" });
}
