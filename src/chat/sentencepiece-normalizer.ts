// Rewrites a text as SentencePiece does before it looks for pieces: compiled rules, extra spaces, and spaces as ▁.

import type { Charsmap } from "./charsmap.ts";
import { type Normalizer, spaceSign } from "./tokenizer-data.ts";

type NormalizerOptions = {
  readonly charsmap: Charsmap | undefined;
  /** Drop spaces at both ends and all but one of a run. */
  readonly removesExtraSpaces: boolean;
  /** Stretches that no rule touches. */
  readonly fixedTexts: readonly string[];
};

/** Exact to Python's `sentencepiece`, but for the space that it may put before a text: ERNIE never has one (model spec, 6.1). */
export function createNormalizer({ charsmap, removesExtraSpaces, fixedTexts }: NormalizerOptions): Normalizer {
  if (!charsmap && !removesExtraSpaces) return { apply: (text) => text.replaceAll(" ", spaceSign), changesLength: false };
  const fixed = new FixedTexts(fixedTexts);

  const apply = (text: string): string => {
    const input = Buffer.from(text);
    const output: Uint8Array[] = [];
    let kept = 0; // from here on, the input has been as it stays
    let isAfterSpace = removesExtraSpaces;
    for (let position = 0; position < input.length;) {
      const fixedLength = fixed.lengthAt(input, position);
      const match = fixedLength === 0 ? charsmap?.match(input, position) : undefined;
      const next = position + (match?.length ?? (fixedLength || characterLength(input[position]!)));
      if (match || (isAfterSpace && input[position] === space)) {
        const written = match?.replacement ?? input.subarray(position, next);
        const shown = isAfterSpace ? withoutLeadingSpaces(written) : written;
        if (kept < position) output.push(input.subarray(kept, position));
        output.push(shown);
        kept = next;
        if (shown.length > 0) isAfterSpace = removesExtraSpaces && shown.at(-1) === space;
      } else isAfterSpace = removesExtraSpaces && input[next - 1] === space;
      position = next;
    }
    const normalized = Buffer.concat([...output, input.subarray(kept)])
      .toString()
      .replaceAll(" ", spaceSign);
    return removesExtraSpaces ? trimSpaceSigns(normalized) : normalized;
  };
  return { apply, changesLength: true };
}

const space = 0x20;

type Branch = { readonly next: Map<number, Branch>; isEnd: boolean };

/** A tree of bytes: a model may define a thousand texts that begin alike. */
class FixedTexts {
  readonly #root: Branch = { next: new Map(), isEnd: false };

  constructor(texts: readonly string[]) {
    for (const text of texts) {
      let at = this.#root;
      for (const byte of Buffer.from(text)) {
        let next = at.next.get(byte);
        if (!next) at.next.set(byte, (next = { next: new Map(), isEnd: false }));
        at = next;
      }
      at.isEnd = true;
    }
  }

  /** Bytes of the longest that is at this place; 0: none is. */
  lengthAt(input: Uint8Array, start: number): number {
    let length = 0;
    let end = start;
    for (let at = this.#root.next.get(input[end]!); at; at = at.next.get(input[end]!)) {
      end++;
      if (at.isEnd) length = end - start;
    }
    return length;
  }
}

function characterLength(firstByte: number): number {
  return firstByte < 0x80 ? 1 : firstByte < 0xe0 ? 2 : firstByte < 0xf0 ? 3 : 4;
}

function withoutLeadingSpaces(bytes: Uint8Array): Uint8Array {
  const start = bytes.findIndex((byte) => byte !== space);
  return start === 0 ? bytes : bytes.subarray(start < 0 ? bytes.length : start);
}

function trimSpaceSigns(text: string): string {
  let end = text.length;
  while (text[end - 1] === spaceSign) end--;
  return text.slice(0, end);
}
