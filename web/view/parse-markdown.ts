// Parses the model's Markdown into tokens, and checks addresses before they become links.

import { lexer, type MarkedToken, type Token } from "marked";

/** People nest a few levels. Without a limit, a model that repeats ">" would overflow the stack. */
const deepestLevel = 40;
const deepMarkers = new RegExp(String.raw`^(?:[ \t]*(?:>|[-+*][ \t]|\d{1,9}[.)][ \t])){${deepestLevel}}`, "m");

/** Longer runs of blanks are shortened: they add nothing, and marked's time is quadratic in their length. */
const mostBlanks = 200;
const manyBlanks = new RegExp(`[ \\t]{${mostBlanks},}`, "g");

export type ParsedMarkdown = {
  readonly text: string;
  /** Undefined if the text is nested so deeply that it is better shown as plain text. */
  readonly blocks: readonly Token[] | undefined;
};

/**
 * `before` is the result for a shorter beginning of the same text, such as an answer that is being written: its settled blocks are reused, so
 * that only the end is parsed (and drawn) again. Links that are defined elsewhere in the text are then not resolved.
 */
export function parseMarkdown(source: string, before?: ParsedMarkdown): ParsedMarkdown {
  const text = source.replaceAll(/\r\n?/g, "\n").replaceAll(manyBlanks, " ".repeat(mostBlanks));
  const settled = settledBlocks(before?.blocks ?? []);
  const settledText = settled.map(({ raw }) => raw).join("");
  if (!text.startsWith(settledText)) return parseMarkdown(source);
  const rest = text.slice(settledText.length);
  if (deepMarkers.test(rest)) return { text, blocks: undefined }; // marked would take long to fail
  try {
    const blocks = lexer(rest, { gfm: true, breaks: true });
    return { text, blocks: isDeeperThan(deepestLevel, blocks) ? undefined : [...settled, ...blocks] };
  } catch {
    return { text, blocks: undefined }; // out of stack
  }
}

/** The blocks that more text cannot change: all but the last two, because a "2" after a list may become ". second item" of that list. */
function settledBlocks(blocks: readonly Token[]): readonly Token[] {
  return blocks.slice(0, [...blocks.keys()].filter((index) => blocks[index]!.type !== "space").at(-2) ?? 0);
}

function isDeeperThan(levels: number, tokens: readonly Token[]): boolean {
  return tokens.some((token) => levels === 0 || isDeeperThan(levels - 1, childrenOf(token as MarkedToken)));
}

function childrenOf(token: MarkedToken): readonly Token[] {
  if (token.type === "list") return token.items;
  if (token.type === "table") return [...token.header, ...token.rows.flat()].flatMap((cell) => cell.tokens);
  return "tokens" in token ? (token.tokens ?? []) : [];
}

/** Undefined unless the address is a whole one that leads to the web or to mail. */
export function safeAddress(href: string): string | undefined {
  const address = withoutEntities(href);
  try {
    const { protocol } = new URL(address);
    return ["http:", "https:", "mailto:"].includes(protocol) ? address : undefined;
  } catch {
    return undefined;
  }
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** marked leaves HTML's entities to the browser, which here sees only text. */
export function withoutEntities(text: string): string {
  return text.replaceAll(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w+));/gi, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return entities[name] ?? whole;
    const code = decimal !== undefined ? Number(decimal) : Number.parseInt(hex!, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
