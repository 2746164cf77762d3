// Texts that are not in UTF-8, as Windows programs still write them: in UTF-16, or in the encoding of the person's language.

/** HTML's fallback encodings by language, if a file of another kind is hardly ever valid in them. */
const encodings: readonly (readonly [language: RegExp, encoding: string])[] = [
  [/^zh-(tw|hk|mo|hant)/i, "big5"],
  [/^zh/i, "gb18030"],
  [/^ja/i, "shift_jis"],
  [/^ko/i, "euc-kr"],
];

const controls = /(?![\t\n\f\r])\p{Cc}/u;

/** `languages`: those that the person reads, the preferred one first. Undefined if the bytes are no text in any of their encodings. */
export function decodeText(bytes: Uint8Array, languages: readonly string[]): string | undefined {
  const candidates = utf16(bytes) ?? languages.map((language) => encodings.find(([pattern]) => pattern.test(language))?.[1]);
  for (const encoding of candidates) {
    const text = encoding && decode(bytes, encoding);
    if (text !== undefined && !controls.test(text)) return text;
  }
  return undefined;
}

/** Told by its byte order mark. */
function utf16([first, second]: Uint8Array): readonly string[] | undefined {
  if (first === 0xff && second === 0xfe) return ["utf-16le"];
  return first === 0xfe && second === 0xff ? ["utf-16be"] : undefined;
}

function decode(bytes: Uint8Array, encoding: string): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
