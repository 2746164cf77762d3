// JSON on lines of its own, for people.

/** `{}` and `[]` are one piece. What was not ended yet is a piece too. */
const piece = /\{\s*\}|\[\s*\]|[{}[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"?|[^\s"{}[\],:]+/gs;

/** So that a thousand open brackets stay readable. */
const deepestIndent = 40;

/** A line for each value, of JSON that need not be whole. Its numbers and strings stay as they were written: parsing would round them. */
export function indentJson(text: string): string {
  if (!/^\s*[{[]/.test(text)) return text;
  let depth = 0;
  const newLine = (change = 0) => `\n${"  ".repeat(Math.min(Math.max((depth += change), 0), deepestIndent))}`;
  const lines: Readonly<Record<string, (token: string) => string>> = {
    "{": (token) => token + newLine(1),
    "[": (token) => token + newLine(1),
    "}": (token) => newLine(-1) + token,
    "]": (token) => newLine(-1) + token,
    ",": (token) => token + newLine(),
    ":": () => ": ",
  };
  const pieces = [...text.matchAll(piece)].map(([token]) => (/^[{[]\s*[}\]]$/.test(token) ? token[0]! + token.at(-1)! : token));
  return pieces.map((token) => lines[token]?.(token) ?? token).join("");
}
