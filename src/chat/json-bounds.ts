// How large a JSON value or a conversation may be. Clients send messages, schemas and arguments that templates and grammars walk over.

/** Messages, their parts and calls. A template takes some 15 to 60 µs for each, in which the server does nothing else. */
export const maxConversationItems = 10_000;

export const maxJsonDepth = 32;
export const maxJsonValues = 10_000;

/**
 * The number of values in it, itself included; undefined when it is nested deeper or has more values than that.
 * Goes level by level: recursion would meet the end of the stack in a hostile one.
 */
export function countJsonValues(value: unknown, maxDepth = maxJsonDepth, maxValues = maxJsonValues): number | undefined {
  let level: unknown[] = [value];
  let count = 1;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) return undefined;
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item !== "object" || item === null) continue;
      const inner: unknown[] = Object.values(item);
      count += inner.length;
      if (count > maxValues) return undefined;
      for (const one of inner) next.push(one);
    }
    level = next;
  }
  return count;
}
