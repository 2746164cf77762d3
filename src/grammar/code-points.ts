// Sets of characters as sorted ranges of code points, and how a set is spelled in UTF-8. Surrogates are never part of a set.

export type CodePointRange = readonly [first: number, last: number];
export type ByteRange = readonly [first: number, last: number];

const surrogates: CodePointRange = [0xd800, 0xdfff];
/** Every character that UTF-8 can spell. */
export const everyCharacter: readonly CodePointRange[] = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Sorts ranges, joins those that overlap or touch, and drops surrogates. */
export function unite(ranges: readonly CodePointRange[]): CodePointRange[] {
  const joined: [number, number][] = [];
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const previous = joined.at(-1);
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else joined.push([first, last]);
  }
  return subtract(joined, [surrogates]);
}

/** All characters that are not in a set, which must come from `unite`. */
export function complement(ranges: readonly CodePointRange[]): CodePointRange[] {
  return subtract(everyCharacter, ranges);
}

/** `ranges` without `taken`; both sorted, without overlaps. */
export function subtract(ranges: readonly CodePointRange[], taken: readonly CodePointRange[]): CodePointRange[] {
  const left: CodePointRange[] = [];
  let passed = 0; // taken ranges that lie before all that is still to come
  for (const [first, last] of ranges) {
    while (passed < taken.length && taken[passed]![1] < first) passed++;
    let from = first;
    for (let i = passed; i < taken.length && taken[i]![0] <= last; i++) {
      if (from < taken[i]![0]) left.push([from, taken[i]![0] - 1]);
      from = taken[i]![1] + 1;
    }
    if (from <= last) left.push([from, last]);
  }
  return left;
}

/** The intersection of two sets, which must come from `unite`. */
export function intersect(a: readonly CodePointRange[], b: readonly CodePointRange[]): CodePointRange[] {
  return subtract(a, complement(b));
}

/**
 * The UTF-8 spellings of a range as sequences of byte ranges, e.g. U+0000 … U+07FF = [00–7F] | [C2–DF][80–BF]. The range must
 * not contain surrogates.
 */
export function utf8Sequences([first, last]: CodePointRange): ByteRange[][] {
  const sequences: ByteRange[][] = [];
  let from = first;
  for (const lengthEnd of [0x7f, 0x7ff, 0xffff, 0x10ffff]) {
    if (from > last || from > lengthEnd) continue;
    splitByTail(from, Math.min(last, lengthEnd), sequences);
    from = lengthEnd + 1;
  }
  return sequences;
}

/** Both ends have spellings of one length. Splits until the bytes after the first one that differs run over all of 80 … BF. */
function splitByTail(first: number, last: number, sequences: ByteRange[][]): void {
  for (const bits of [18, 12, 6]) {
    const tail = (1 << bits) - 1;
    if (first >> bits === last >> bits || spellingLength(last) * 6 <= bits) continue;
    if ((first & tail) !== 0) {
      splitByTail(first, first | tail, sequences);
      splitByTail((first | tail) + 1, last, sequences);
      return;
    }
    if ((last & tail) !== tail) {
      splitByTail(first, (last & ~tail) - 1, sequences);
      splitByTail(last & ~tail, last, sequences);
      return;
    }
  }
  const low = Buffer.from(String.fromCodePoint(first));
  const high = Buffer.from(String.fromCodePoint(last));
  sequences.push(Array.from(low, (byte, i) => [byte, high[i]!] as const));
}

function spellingLength(codePoint: number): number {
  return codePoint <= 0x7f ? 1 : codePoint <= 0x7ff ? 2 : codePoint <= 0xffff ? 3 : 4;
}
