// Parses the model's Markdown into tokens, and checks addresses before they become links.

import { lexer, type MarkedToken, type Token, type Tokens } from "marked";
import { cjkOptions } from "./cjk-markdown.ts";
import { formulaOptions, type FormulaToken } from "./formula-markdown.ts";

/** People nest a few levels. Without a limit, a model that repeats ">" would overflow the stack. */
const deepestLevel = 40;
const deepMarkers = new RegExp(String.raw`^(?:[ \t]*(?:>|[-+*][ \t]|\d{1,9}[.)][ \t])){${deepestLevel}}`, "m");

/** Longer runs of blanks are shortened: they add nothing, and marked's time is quadratic in their length. */
const mostBlanks = 200;
const manyBlanks = new RegExp(`[ \\t]{${mostBlanks},}`, "g");

/** The tokens of a parsed text. */
export type PageToken = MarkedToken | FormulaToken;

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
  try {
    const blocks = parseRest(rest, before?.blocks?.[settled.length] as MarkedToken | undefined);
    return { text, blocks: blocks && [...settled, ...blocks] };
  } catch {
    return { text, blocks: undefined }; // out of stack
  }
}

/** `begun`: the first block of a shorter beginning of the same text. If it is a long list or table, its settled entries are reused. */
function parseRest(text: string, begun: MarkedToken | undefined): readonly Token[] | undefined {
  const settled = begun && settledEntries(begun);
  if (!settled || !text.startsWith(settled.raw)) return parseBlocks(text);
  const blocks = parseBlocks(settled.start + text.slice(settled.raw.length));
  const whole = blocks && settled.complete(blocks[0] as MarkedToken);
  return whole ? [whole, ...blocks.slice(1)] : parseBlocks(text);
}

/** Undefined if the blocks are nested too deeply. */
function parseBlocks(text: string): readonly Token[] | undefined {
  if (deepMarkers.test(text)) return undefined; // marked would take long to fail
  const blocks = lexer(text, { gfm: true, breaks: true, ...cjkOptions(), ...formulaOptions() });
  return isDeeperThan(deepestLevel, blocks) ? undefined : blocks;
}

/**
 * The blocks at the end of a text that more text may change: a "2" after a list may become ". second item" of that list, and "-" after two
 * lines may make a heading of the second.
 */
const openBlocks = 3;

function settledBlocks(blocks: readonly Token[]): readonly Token[] {
  const open = [...blocks.keys()].filter((index) => blocks[index]!.type !== "space").slice(-openBlocks);
  const long = open.find((index) => isLong(blocks[index] as MarkedToken)); // surely a block of its own
  return blocks.slice(0, long ?? (open.length === openBlocks ? open[0] : 0));
}

/** Entries of a list or table; fewer are parsed quickly. */
const manyEntries = 20;
/** The entries at its end that more text may change. */
const openEntries = 2;

function isLong(block: MarkedToken): boolean {
  return (block.type === "list" ? block.items : block.type === "table" ? block.rows : []).length >= manyEntries;
}

type SettledEntries = {
  /** Text of the block up to the end of these entries. */
  readonly raw: string;
  /** Begins such a block in place of `raw`. */
  readonly start: string;
  /** The whole block, from one that begins with `start` in place of `raw`; undefined if they do not belong together. */
  readonly complete: (end: MarkedToken) => MarkedToken | undefined;
};

function settledEntries(block: MarkedToken): SettledEntries | undefined {
  if (!isLong(block)) return undefined;
  if (block.type === "list") return settledItems(block);
  return block.type === "table" ? settledRows(block) : undefined;
}

function settledRows({ raw, rows }: Tokens.Table): SettledEntries {
  const kept = rows.slice(0, -openEntries);
  const lines = raw.split("\n").slice(0, 2 + kept.length);
  const [settled, start] = [lines, lines.slice(0, 2)].map((part) => part.map((line) => `${line}\n`).join("")) as [string, string];
  return {
    raw: settled,
    start,
    complete: (end) =>
      end.type === "table" ? { ...end, raw: settled + end.raw.slice(start.length), rows: [...kept, ...end.rows] } : undefined,
  };
}

/** Its first two items tell what kind of list it is, and mostly whether it is loose, which concerns all items. */
function settledItems({ items, loose }: Tokens.List): SettledEntries {
  const settled = items.slice(0, -openEntries);
  const [raw, start] = [settled, settled.slice(0, 2)].map((part) => part.map((item) => item.raw).join("")) as [string, string];
  return {
    raw,
    start,
    complete: (end) =>
      end.type === "list" && end.loose === loose
        ? { ...end, raw: raw + end.raw.slice(start.length), items: [...settled, ...end.items.slice(2)] }
        : undefined,
  };
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
