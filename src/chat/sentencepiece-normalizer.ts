// Rewrites a text as SentencePiece does before it looks for pieces: compiled rules, extra spaces, and spaces as ▁.

import type { Charsmap } from "./charsmap.ts";
import { type Normalizer, spaceSign } from "./tokenizer-data.ts";

export type NormalizerOptions = {
  readonly charsmap: Charsmap | undefined;
  /** Drop spaces at both ends and all but one of a run. */
  readonly removesExtraSpaces: boolean;
  /** Stretches that no rule touches. */
  readonly fixedTexts: readonly string[];
};

/** Exact to Python's `sentencepiece`, but for the space that it may put before a text: ERNIE never has one (model spec, 6.1). */
export function createNormalizer({ charsmap, removesExtraSpaces, fixedTexts }: NormalizerOptions): Normalizer {
  if (!charsmap && !removesExtraSpaces) return { apply: (text) => text.replaceAll(" ", spaceSign), changesLength: false };
  const fixed = groupByFirstByte(fixedTexts);

  /** How many bytes come next as one, and what they become. */
  const next = (text: Buffer, start: number): { readonly length: number; readonly replacement: Uint8Array } => {
    const first = text[start]!;
    const whole = fixed.get(first)?.find((bytes) => text.subarray(start, start + bytes.length).equals(bytes));
    if (whole) return { length: whole.length, replacement: whole };
    const match = charsmap?.match(text, start);
    if (match) return match;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    return { length, replacement: text.subarray(start, start + length) };
  };

  const apply = (text: string): string => {
    const input = Buffer.from(text);
    const parts: string[] = [];
    let isAfterSpace = removesExtraSpaces;
    for (let position = 0; position < input.length;) {
      const { length, replacement } = next(input, position);
      position += length;
      const written = Buffer.from(replacement).toString();
      const part = isAfterSpace ? written.replace(/^ +/, "") : written;
      if (part === "") continue;
      parts.push(part.replaceAll(" ", spaceSign));
      isAfterSpace = removesExtraSpaces && part.endsWith(" ");
    }
    return removesExtraSpaces ? trimSpaceSigns(parts.join("")) : parts.join("");
  };
  return { apply, changesLength: true };
}

/** Longest first. */
function groupByFirstByte(texts: readonly string[]): Map<number, Buffer[]> {
  const groups = new Map<number, Buffer[]>();
  for (const bytes of texts.map((text) => Buffer.from(text)).toSorted((a, b) => b.length - a.length)) {
    groups.set(bytes[0]!, [...(groups.get(bytes[0]!) ?? []), bytes]);
  }
  return groups;
}

function trimSpaceSigns(text: string): string {
  let end = text.length;
  while (text[end - 1] === spaceSign) end--;
  return text.slice(0, end);
}
