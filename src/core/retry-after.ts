// Parses Retry-After headers.

/**
 * Value of a Retry-After header, seconds or a date, in ms from `now`. Undefined where it names no time to come, as 0 does, or a date by a clock
 * that is behind: then callers wait as they would without one, or all their tries would be over at once.
 */
export function parseRetryAfter(header: string | null | undefined, now: number = Date.now()): number | undefined {
  if (header === null || header === undefined) return undefined;
  const waitMs = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return waitMs > 0 ? waitMs : undefined;
}
