// How large a JSON value or a conversation may be. Clients send messages, schemas and arguments that templates and grammars walk over.

/** Messages, their parts and calls. A template takes some 15 to 60 µs for each, in which the server does nothing else. */
export const maxConversationItems = 10_000;

export const maxJsonDepth = 32;
export const maxJsonValues = 10_000;

/**
 * The number of values in it, itself included; undefined when it is nested deeper than 32 levels or has more than 10,000 values.
 * Goes level by level: recursion would meet the end of the stack in a hostile one.
 */
export function countJsonValues(value: unknown): number | undefined {
  let level: unknown[] = [value];
  let count = 0;
  for (let depth = 0; level.length > 0; depth++) {
    count += level.length;
    if (depth > maxJsonDepth || count > maxJsonValues) return undefined;
    level = level.flatMap((item) => (typeof item === "object" && item !== null ? Object.values(item) : []));
  }
  return count;
}
