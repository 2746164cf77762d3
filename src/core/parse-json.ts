// Parses JSON from outside, where invalid JSON is no error.

/** Levels of objects and arrays. JSON.stringify calls itself for each, so that it could not write a few thousand of them. */
const maxDepth = 1000;

/** The parsed value; undefined if the text is not JSON, or nests deeper than 1,000 levels. */
export function parseJson(text: string): unknown {
  if (text.length > maxDepth && nestsDeeply(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A number of tokens or the like; undefined for any other value. */
export function toCount(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** The members of a JSON object; none for any other value. */
export function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** Of a text that is no JSON, the answer may be either. */
function nestsDeeply(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length && depth <= maxDepth; i++) {
    const character = text[i];
    if (character === '"') i = endOfString(text, i);
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
  }
  return depth > maxDepth;
}

/** The index of the closing quote, or the length of the text where there is none. */
function endOfString(text: string, start: number): number {
  const next = text.indexOf('"', start + 1); // the fast path for long strings
  if (next < 0) return text.length;
  if (text[next - 1] !== "\\") return next;
  let end = start + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
  return end;
}
