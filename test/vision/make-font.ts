// Font files with glyphs that are boxes, written as the OpenType specification says and no further.

/** Left, bottom, right, top, in thousandths of the size. */
type Box = readonly [number, number, number, number];

export type FontPlan = {
  /** Language as Windows numbers it → name of the family. */
  readonly names: Readonly<Record<number, string>>;
  readonly characters: string;
  /** What each of them looks like. */
  readonly box: Box;
  readonly weight?: number;
  readonly hasSerifs?: boolean;
  /** Of the table of characters; 12 unless told. */
  readonly format?: 4 | 12;
  /** Bytes behind the tables. */
  readonly padding?: number;
};

const unitsPerEm = 1000;

export function makeFont(plan: FontPlan): Buffer {
  return Buffer.concat([joinTables(tablesOf(plan), 0), Buffer.alloc(plan.padding ?? 0)]);
}

/** Several faces in one file. */
export function makeFontCollection(plans: readonly FontPlan[]): Buffer {
  const head = words32(0x74746366, 0x00010000, plans.length, ...plans.map(() => 0));
  let file = head;
  plans.forEach((plan, index) => {
    head.writeUInt32BE(file.length, 12 + 4 * index);
    file = Buffer.concat([head, file.subarray(head.length), joinTables(tablesOf(plan), file.length)]);
  });
  return file;
}

function tablesOf({ names, characters, box, weight = 400, hasSerifs = false, format = 12 }: FontPlan): Record<string, Buffer> {
  const codePoints = [...characters].map((character) => character.codePointAt(0)!).toSorted((a, b) => a - b);
  const glyphCount = codePoints.length + 1; // the first is that of what is missing
  const glyph = boxGlyph(box);
  const metrics = Buffer.alloc(96);
  metrics.writeUInt16BE(weight, 4);
  metrics.set([2, hasSerifs ? 2 : 11], 32);
  return {
    "OS/2": metrics,
    cmap: Buffer.concat([words16(0, 1, 3, format === 12 ? 10 : 1, 0, 12), format === 12 ? groups(codePoints) : segments(codePoints)]),
    glyf: Buffer.concat(codePoints.map(() => glyph)),
    head: Buffer.concat([
      words32(0x00010000, 0x00010000, 0, 0x5f0f3cf5),
      words16(0, unitsPerEm, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, unitsPerEm, unitsPerEm, 0, 8, 2, 1, 0),
    ]),
    hhea: Buffer.concat([words32(0x00010000), words16(880, -120, 0, unitsPerEm, 0, 0, unitsPerEm, 1, 0, 0, 0, 0, 0, 0, 0, glyphCount)]),
    hmtx: words16(...Array.from({ length: glyphCount }, () => [unitsPerEm, box[0]]).flat()),
    loca: words32(0, ...Array.from({ length: glyphCount }, (_, index) => index * glyph.length)),
    maxp: Buffer.concat([words32(0x00010000), words16(glyphCount, 4, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)]),
    name: nameTable(Object.entries(names).map(([language, name]) => ({ language: Number(language), name }))),
  };
}

function joinTables(tables: Record<string, Buffer>, start: number): Buffer {
  const list = Object.entries(tables);
  let place = start + 12 + 16 * list.length;
  const records: Buffer[] = [];
  const bodies: Buffer[] = [];
  for (const [tag, table] of list) {
    records.push(Buffer.concat([Buffer.from(tag), words32(0, place, table.length)]));
    bodies.push(table, Buffer.alloc(-table.length & 3));
    place += table.length + (-table.length & 3);
  }
  return Buffer.concat([words32(0x00010000), words16(list.length, 0, 0, 0), ...records, ...bodies]);
}

function boxGlyph([left, bottom, right, top]: Box): Buffer {
  const outline = words16(1, left, bottom, right, top, 3, 0);
  const onCurve = Buffer.from([1, 1, 1, 1]);
  const glyph = Buffer.concat([outline, onCurve, words16(left, 0, right - left, 0), words16(bottom, top - bottom, 0, bottom - top)]);
  return Buffer.concat([glyph, Buffer.alloc(-glyph.length & 3)]);
}

function groups(codePoints: readonly number[]): Buffer {
  const list = codePoints.flatMap((codePoint, index) => [codePoint, codePoint, index + 1]);
  return Buffer.concat([words16(12, 0), words32(16 + 4 * list.length, 0, codePoints.length, ...list)]);
}

/** Those of the even places by a number to add, those of the odd ones by a list of glyphs. */
function segments(codePoints: readonly number[]): Buffer {
  const count = codePoints.length + 1;
  const last = 0xffff;
  const glyphs = codePoints.flatMap((_, index) => (index % 2 === 1 ? [index + 1] : []));
  const distances = codePoints.map((_, index) => (index % 2 === 1 ? 2 * (count - index + (index - 1) / 2) : 0));
  const deltas = codePoints.map((codePoint, index) => (index % 2 === 1 ? 0 : index + 1 - codePoint));
  const lists = [...codePoints, last, 0, ...codePoints, last, ...deltas, 1, ...distances, 0, ...glyphs];
  return words16(4, 14 + 2 * lists.length, 0, 2 * count, 0, 0, 0, ...lists);
}

function nameTable(names: readonly { readonly language: number; readonly name: string }[]): Buffer {
  const texts = names.map(({ name }) => Buffer.from(name, "utf16le").swap16());
  let place = 0;
  const records = names.map(({ language }, index) => {
    const length = texts[index]!.length;
    place += length;
    return words16(3, 1, language, 1, length, place - length);
  });
  return Buffer.concat([words16(0, names.length, 6 + 12 * names.length), ...records, ...texts]);
}

function words16(...words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * words.length);
  words.forEach((word, index) => bytes.writeUInt16BE(word & 0xffff, 2 * index));
  return bytes;
}

function words32(...words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * words.length);
  words.forEach((word, index) => bytes.writeUInt32BE(word >>> 0, 4 * index));
  return bytes;
}
