// Texts and pictures between tags, as models read what a client tells of files and searches.

/** Each head that there is, and each piece, begins a line. */
export function inTags<Piece>(
  tag: string,
  heads: Readonly<Record<string, string | undefined>>,
  pieces: readonly (string | Piece)[],
): (string | Piece)[] {
  const lines = Object.entries(heads).map(([name, head]) => (head === undefined ? "" : `<${name}>${head}</${name}>\n`));
  return [`<${tag}>\n`, ...lines, ...pieces.flatMap((piece) => [piece, "\n"]), `</${tag}>\n`];
}

/** What stands between two pictures becomes one text, so that it is tokenized in one piece. */
export function joinTexts<Piece>(pieces: readonly (string | Piece)[]): (string | Piece)[] {
  const joined: (string | Piece)[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (typeof piece === "string" && typeof last === "string") joined[joined.length - 1] = last + piece;
    else joined.push(piece);
  }
  return joined;
}
