import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CharacterClasses } from "../../src/grammar/character-classes.ts";
import { type CodePointRange, complement, intersect, unite, utf8Sequences } from "../../src/grammar/code-points.ts";

const codePoint = fc.oneof(
  fc.integer({ min: 0, max: 0x10ffff }),
  fc.constantFrom(0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff),
);
const range: fc.Arbitrary<CodePointRange> = fc.tuple(codePoint, codePoint).map(([a, b]) => [Math.min(a, b), Math.max(a, b)]);
const ranges = fc.array(range, { maxLength: 5 });
const isSurrogate = (code: number) => code >= 0xd800 && code <= 0xdfff;
const has = (set: readonly CodePointRange[], code: number) => set.some(([first, last]) => first <= code && code <= last);

describe("sets of characters", () => {
  it("unite, complement and intersect as sets do, without surrogates", () => {
    fc.assert(
      fc.property(ranges, ranges, codePoint, (a, b, code) => {
        const [left, right] = [unite(a), unite(b)];
        expect(has(left, code)).toBe(has(a, code) && !isSurrogate(code));
        expect(has(complement(left), code)).toBe(!has(left, code) && !isSurrogate(code));
        expect(has(intersect(left, right), code)).toBe(has(left, code) && has(right, code));
      }),
    );
  });

  it("fall into classes that no set tells apart", () => {
    fc.assert(
      fc.property(fc.array(ranges, { maxLength: 4 }), codePoint, (sets, code) => {
        fc.pre(!isSurrogate(code));
        const united = sets.map(unite);
        const classes = new CharacterClasses(united);
        const own = classes.ranges.flatMap((members, i) => (has(members, code) ? [i] : []));
        expect(own).toHaveLength(1);
        for (const set of united) expect(classes.of(set).includes(own[0]!)).toBe(has(set, code));
      }),
    );
  });

  it("are spelled in UTF-8 by exactly one sequence for each character, and by none for others", () => {
    fc.assert(
      fc.property(range, codePoint, (one, code) => {
        fc.pre(!isSurrogate(code));
        const bytes = Buffer.from(String.fromCodePoint(code));
        const sequences = unite([one]).flatMap((part) => utf8Sequences(part));
        const matching = sequences.filter(
          (sequence) => sequence.length === bytes.length && sequence.every(([first, last], i) => first <= bytes[i]! && bytes[i]! <= last),
        );
        expect(matching).toHaveLength(has([one], code) ? 1 : 0);
      }),
      { numRuns: 2_000 },
    );
  });
});
