// Reads the properties by which a font face is chosen from TrueType and OpenType files and collections. PDFium draws the glyphs.
// Source: the OpenType specification, "Organization of an OpenType font", "cmap", "name" and "OS/2".

import { closeSync, openSync, readSync } from "node:fs";

const collectionTag = 0x74746366; // "ttcf"
/** Limit for one table. The largest known, for 65,535 glyphs, have less than 1 MiB. */
const maxTableBytes = 8 * 2 ** 20;
const maxFaces = 64;

const windows = 3;
const unicode = 0;
const nameIds = { family: 1, postScript: 6, typographicFamily: 16 };
/** PANOSE classification: the family kind "Latin text", and the range of its serif styles that have serifs. */
const latinText = 2;
const serifStyles = { first: 2, last: 10 };

export type FontFace = {
  /** Position of its table directory in the file. */
  readonly offset: number;
  /** Names of the family and of the face, in all languages. */
  readonly names: readonly string[];
  /** Windows ids of the languages in which it has a name. */
  readonly languages: readonly number[];
  /** 400 is regular, 700 bold. */
  readonly weight: number;
  readonly hasSerifs: boolean;
  /** Whether it has a glyph for a code point. */
  readonly has: (codePoint: number) => boolean;
};

/** The faces of a font file. Throws an Error when the file is not a font, lacks a table that is needed here, or cannot be read. */
export function readFontFaces(path: string): FontFace[] {
  const file = openSync(path, "r");
  try {
    const read = (position: number, bytes: number) => readAt(file, position, bytes);
    const head = read(0, 12);
    if (head.readUInt32BE(0) !== collectionTag) return [readFace(read, 0)];
    const offsets = read(12, 4 * Math.min(maxFaces, head.readUInt32BE(8)));
    return Array.from({ length: offsets.length / 4 }, (_, index) => readFace(read, offsets.readUInt32BE(4 * index)));
  } finally {
    closeSync(file);
  }
}

/** Reads bytes of a file from a position on. */
type Read = (position: number, bytes: number) => Buffer;

function readAt(file: number, position: number, bytes: number): Buffer {
  if (bytes > maxTableBytes) throw new Error(`a font's table has ${bytes} bytes`);
  const buffer = Buffer.alloc(bytes);
  const count = readSync(file, buffer, 0, bytes, position);
  return buffer.subarray(0, count); // reading past the end of a short buffer throws
}

function readFace(read: Read, offset: number): FontFace {
  const tableCount = read(offset, 12).readUInt16BE(4);
  const records = read(offset + 12, 16 * tableCount);
  const table = (tag: string): Buffer => {
    for (let at = 0; at < records.length; at += 16)
      if (records.toString("latin1", at, at + 4) === tag) return read(records.readUInt32BE(at + 8), records.readUInt32BE(at + 12));
    throw new Error(`a font has no table ${tag}`);
  };
  const metrics = table("OS/2");
  const serifStyle = metrics.readUInt8(33);
  return {
    offset,
    ...readNames(table("name")),
    weight: metrics.readUInt16BE(4),
    hasSerifs: metrics.readUInt8(32) === latinText && serifStyle >= serifStyles.first && serifStyle <= serifStyles.last,
    has: glyphLookup(table("cmap")),
  };
}

function readNames(table: Buffer): { names: string[]; languages: number[] } {
  const names = new Set<string>();
  const languages = new Set<number>();
  const texts = table.readUInt16BE(4);
  for (let index = 0; index < table.readUInt16BE(2); index++) {
    const at = 6 + 12 * index;
    const isNeeded = table.readUInt16BE(at) === windows && Object.values(nameIds).includes(table.readUInt16BE(at + 6));
    if (!isNeeded) continue;
    const start = texts + table.readUInt16BE(at + 10);
    names.add(new TextDecoder("utf-16be").decode(table.subarray(start, start + table.readUInt16BE(at + 8))));
    languages.add(table.readUInt16BE(at + 4));
  }
  return { names: [...names], languages: [...languages] };
}

/** Uses the subtable with the most code points: format 12, otherwise format 4. */
function glyphLookup(table: Buffer): (codePoint: number) => boolean {
  let segments: Buffer | undefined;
  for (let index = 0; index < table.readUInt16BE(2); index++) {
    const at = 4 + 8 * index;
    if (![unicode, windows].includes(table.readUInt16BE(at))) continue;
    const subtable = table.subarray(table.readUInt32BE(at + 4));
    const format = subtable.readUInt16BE(0);
    if (format === 12) return (codePoint) => hasInGroups(subtable, codePoint);
    if (format === 4) segments = subtable;
  }
  return (codePoint) => segments !== undefined && hasInSegments(segments, codePoint);
}

/** Format 12: groups of [first code point, last code point, glyph of the first]. */
function hasInGroups(table: Buffer, codePoint: number): boolean {
  const count = table.readUInt32BE(12);
  const index = firstIndex(count, (group) => table.readUInt32BE(20 + 12 * group) >= codePoint);
  if (index === count) return false;
  const first = table.readUInt32BE(16 + 12 * index);
  return codePoint >= first && table.readUInt32BE(24 + 12 * index) + codePoint - first > 0;
}

/** Format 4: arrays with each segment's last code point, first code point, delta to the glyph, and offset of its glyph list (0 if none). */
function hasInSegments(table: Buffer, codePoint: number): boolean {
  const listBytes = table.readUInt16BE(6);
  const [lasts, firsts, deltas, distances] = [14, 16 + listBytes, 16 + 2 * listBytes, 16 + 3 * listBytes] as const;
  const at = 2 * firstIndex(listBytes / 2, (segment) => table.readUInt16BE(lasts + 2 * segment) >= codePoint);
  if (at === listBytes) return false;
  const first = table.readUInt16BE(firsts + at);
  if (codePoint < first) return false;
  const distance = table.readUInt16BE(distances + at);
  return distance === 0
    ? ((codePoint + table.readUInt16BE(deltas + at)) & 0xffff) !== 0
    : table.readUInt16BE(distances + at + distance + 2 * (codePoint - first)) !== 0;
}

/** Binary search: the first index below `count` for which `holds` is true, as it is for all later ones; `count` if there is none. */
function firstIndex(count: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
