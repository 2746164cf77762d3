// Texts of others on a terminal.

/**
 * Without what a terminal takes for a command: control characters of ASCII and of ISO 8859-1 but line breaks and tabs. Each becomes �, so that
 * nobody wonders where it went. What turns the direction of a text without ending it goes, too: it would move the lines around it.
 */
export function printable(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    .replaceAll(/[\p{Cc}\u202A-\u202E\u2066-\u2069]/gu, (character) => (character === "\n" || character === "\t" ? character : "\uFFFD"));
}
