// Byte-pair merging over token ids, exact to the order of Python's `tokenizers`: lowest rank first, leftmost among equals.

/** Two neighbouring ids and the id that replaces them. */
export type Merge = readonly [left: number, right: number, merged: number];

const none = -1;
/** A heap key is rank · positionLimit + position, an exact integer below 2^53. */
const positionLimit = 2 ** 32;

/** n log n in the length of the text at worst: nothing is quadratic, whatever a client sends. */
export class BpeMerger {
  readonly #ranks = new Map<number, number>();
  readonly #mergedIds: Int32Array;
  /** Neighbouring symbols of a text that some merge may join, be it after others. Elsewhere a text falls into runs of its own. */
  readonly #joints = new Set<number>();
  readonly #idLimit: number;

  /** Merges in order of rank; all ids are below `idLimit`. */
  constructor(merges: readonly Merge[], idLimit: number) {
    this.#idLimit = idLimit;
    this.#mergedIds = Int32Array.from(merges, ([, , merged]) => merged);
    const leftParts = new Map(merges.map(([left, , merged]) => [merged, left]));
    const rightParts = new Map(merges.map(([, right, merged]) => [merged, right]));
    merges.forEach(([left, right], rank) => {
      this.#ranks.set(this.#pair(left, right), rank);
      this.#joints.add(this.#pair(outermost(left, rightParts), outermost(right, leftParts)));
    });
  }

  /** Appends to `output` what is left of `symbols` when no merge applies any more. `symbols` is used up. */
  merge(symbols: Int32Array, output: number[]): void {
    // The symbols of a run that are still alive form a linked list; a merge keeps the left one's place.
    const next = new Int32Array(symbols.length).fill(none);
    const previous = new Int32Array(symbols.length).fill(none);
    for (let i = 1; i < symbols.length; i++) {
      if (!this.#joints.has(this.#pair(symbols[i - 1]!, symbols[i]!))) continue;
      next[i - 1] = i;
      previous[i] = i - 1;
    }
    const queue = new MinHeap();
    const enqueue = (left: number) => {
      const rank = this.#rankAt(symbols, next, left);
      if (rank !== undefined) queue.push(rank * positionLimit + left);
    };
    for (let position = 0; position < symbols.length; position++) {
      enqueue(position);
      if (next[position] !== none) continue;
      for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
        const rank = Math.floor(key / positionLimit);
        const left = key % positionLimit;
        if (this.#rankAt(symbols, next, left) !== rank) continue; // the pair is gone, or another one by now
        const right = next[left]!;
        symbols[left] = this.#mergedIds[rank]!;
        symbols[right] = none;
        next[left] = next[right]!;
        next[right] = none;
        if (next[left] !== none) previous[next[left]!] = left;
        enqueue(left);
        if (previous[left] !== none) enqueue(previous[left]!);
      }
    }
    for (const symbol of symbols) if (symbol !== none) output.push(symbol);
  }

  #rankAt(symbols: Int32Array, next: Int32Array, left: number): number | undefined {
    const right = next[left]!;
    return right === none ? undefined : this.#ranks.get(this.#pair(symbols[left]!, symbols[right]!));
  }

  #pair(left: number, right: number): number {
    return left * this.#idLimit + right;
  }
}

/** The first or last symbol of a merged id, by its parts on that side. */
function outermost(id: number, parts: ReadonlyMap<number, number>): number {
  let symbol = id;
  for (let part = parts.get(symbol); part !== undefined; part = parts.get(symbol)) symbol = part;
  return symbol;
}

class MinHeap {
  readonly #keys: number[] = [];

  push(key: number): void {
    const keys = this.#keys;
    let child = keys.length;
    keys.push(key);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[child] = keys[parent]!;
      child = parent;
    }
    keys[child] = key;
  }

  pop(): number | undefined {
    const keys = this.#keys;
    const smallest = keys[0];
    const moved = keys.pop();
    if (keys.length === 0 || moved === undefined) return smallest;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++;
      if (child >= keys.length || keys[child]! >= moved) break;
      keys[parent] = keys[child]!;
      parent = child;
    }
    keys[parent] = moved;
    return smallest;
  }
}
