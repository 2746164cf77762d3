// An ordered pipeline with a few items in work at a time.

/**
 * The results in the order of the items. At most `depth` are in work; no item is asked for before there is place for it. When one
 * fails, the others still in work are left to end unseen.
 */
export async function* mapAhead<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  depth: number,
  work: (item: Item, index: number) => Promise<Result>,
): AsyncGenerator<Result, void> {
  const waiting: Promise<Result>[] = [];
  let index = 0;
  for await (const item of items) {
    const result = work(item, index++);
    result.catch(() => {}); // seen when its turn comes, if it comes
    waiting.push(result);
    if (waiting.length >= depth) yield await waiting.shift()!;
  }
  for (const result of waiting) yield await result;
}
