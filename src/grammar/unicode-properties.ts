// The characters that have a property of Unicode, such as `\p{Letter}` or `\p{Script=Han}`, as this JavaScript engine knows them.

import { type CodePointRange, everyCharacter } from "./code-points.ts";

const pieceLength = 2 ** 12; // as many arguments are safe in a call
const known = new Map<string, readonly CodePointRange[]>();

/** What is in the braces of `\p{…}`. Undefined if there is no such property, or if it is one of strings. */
export function charactersWith(property: string): readonly CodePointRange[] | undefined {
  let ranges = known.get(property);
  if (ranges) return ranges;
  const pattern = toPattern(property);
  if (!pattern) return undefined;
  ranges = everyCharacter.flatMap((range) => findIn(range, pattern));
  known.set(property, ranges);
  return ranges;
}

function toPattern(property: string): RegExp | undefined {
  try {
    return /^\w+(=\w+)?$/.test(property) ? new RegExp(`\\p{${property}}+`, "gu") : undefined;
  } catch {
    return undefined;
  }
}

function findIn([first, last]: CodePointRange, pattern: RegExp): CodePointRange[] {
  const ranges: [number, number][] = [];
  for (let start = first; start <= last; start += pieceLength) {
    const codes = Array.from({ length: Math.min(pieceLength, last + 1 - start) }, (_, index) => start + index);
    const unitsEach = start > 0xffff ? 2 : 1;
    for (const { 0: run, index } of String.fromCodePoint(...codes).matchAll(pattern)) {
      const from = start + index / unitsEach;
      const to = from + run.length / unitsEach - 1;
      if (ranges.at(-1)?.[1] === from - 1) ranges.at(-1)![1] = to;
      else ranges.push([from, to]);
    }
  }
  return ranges;
}
