// Parses regular expressions in JavaScript's unicode syntax, in time linear in their length. Expressions of clients are never run. Features that a
// grammar cannot express (look-behind, back references, …) are refused by name.

import { RequestError } from "../core/errors.ts";
import { type CodePointRange, complement, everyCharacter, unite } from "./code-points.ts";
import { charactersWith } from "./unicode-properties.ts";

export type RegexNode =
  | { readonly type: "set"; readonly ranges: readonly CodePointRange[] }
  | { readonly type: "sequence"; readonly items: readonly RegexNode[] }
  | { readonly type: "choice"; readonly options: readonly RegexNode[] }
  | { readonly type: "repeat"; readonly item: RegexNode; readonly min: number; readonly max: number }
  /** A look-ahead: what follows begins with `item`, or does not. */
  | { readonly type: "look"; readonly item: RegexNode; readonly isNegative: boolean }
  | { readonly type: "start" }
  | { readonly type: "end" };

const maxLength = 4096;
const maxDepth = 64;
const maxRepeatCount = 65_536;

const digits: readonly CodePointRange[] = [[0x30, 0x39]];
const wordCharacters = unite([...digits, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]]);
const whiteSpace = unite([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const lineEnds = unite([
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
]);
const classEscapes: Readonly<Record<string, readonly CodePointRange[]>> = {
  d: digits,
  D: complement(digits),
  w: wordCharacters,
  W: complement(wordCharacters),
  s: whiteSpace,
  S: complement(whiteSpace),
};
const controlEscapes: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, "0": 0 };

/** `param` names the field for errors. Throws RequestError. */
export function parseRegex(pattern: string, param: string): RegexNode {
  if (pattern.length > maxLength) {
    throw new RequestError(`${param}: expected a regular expression of at most ${maxLength} characters, got ${pattern.length}`, { param });
  }
  return new RegexParser(pattern, param).parse();
}

class RegexParser {
  readonly #characters: readonly string[];
  readonly #param: string;
  #at = 0;
  #depth = 0;

  constructor(pattern: string, param: string) {
    this.#characters = [...pattern];
    this.#param = param;
  }

  parse(): RegexNode {
    const node = this.#choice();
    if (this.#at < this.#characters.length) this.#fail("unexpected )");
    return node;
  }

  #fail(problem: string): never {
    throw new RequestError(`${this.#param}: ${problem} at character ${this.#at + 1} of the regular expression`, { param: this.#param });
  }

  #peek(ahead = 0): string | undefined {
    return this.#characters[this.#at + ahead];
  }

  #take(wanted: string): boolean {
    const isThere = [...wanted].every((character, i) => this.#peek(i) === character);
    if (isThere) this.#at += wanted.length;
    return isThere;
  }

  #choice(): RegexNode {
    if (++this.#depth > maxDepth) this.#fail(`more than ${maxDepth} groups inside each other`);
    const options = [this.#sequence()];
    while (this.#take("|")) options.push(this.#sequence());
    this.#depth--;
    return options.length === 1 ? options[0]! : { type: "choice", options };
  }

  #sequence(): RegexNode {
    const items: RegexNode[] = [];
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek()) items.push(this.#quantified());
    return { type: "sequence", items };
  }

  #quantified(): RegexNode {
    const item = this.#atom();
    const range = this.#quantifier();
    if (!range) return item;
    if (item.type === "start" || item.type === "end") this.#fail("a repeated anchor");
    if (item.type === "look") this.#fail("a repeated look-ahead");
    this.#take("?"); // lazy quantifiers match the same texts
    const next = this.#peek();
    if (next === "*" || next === "+" || next === "?") this.#fail(`nothing to repeat for ${next}`);
    return { type: "repeat", item, ...range };
  }

  #quantifier(): { min: number; max: number } | undefined {
    if (this.#take("*")) return { min: 0, max: Infinity };
    if (this.#take("+")) return { min: 1, max: Infinity };
    if (this.#take("?")) return { min: 0, max: 1 };
    if (!this.#take("{")) return undefined;
    const min = this.#number();
    let max = min;
    if (this.#take(",")) max = this.#peek() === "}" ? Infinity : this.#number();
    if (!this.#take("}")) this.#fail("expected } after a count");
    if (min > max) this.#fail(`expected a count of at least ${min}, got ${max}`);
    return { min, max };
  }

  #number(): number {
    let digits = "";
    for (let next = this.#peek(); next !== undefined && /^\d$/.test(next); next = this.#peek()) {
      digits += next;
      this.#at++;
    }
    if (digits === "") this.#fail("expected a count");
    const count = Number(digits);
    if (count > maxRepeatCount) this.#fail(`expected a count of at most ${maxRepeatCount}, got ${digits}`);
    return count;
  }

  #atom(): RegexNode {
    const character = this.#peek()!;
    this.#at++;
    if (character === "^") return { type: "start" };
    if (character === "$") return { type: "end" };
    if (character === ".") return { type: "set", ranges: complement(lineEnds) };
    if (character === "[") return { type: "set", ranges: this.#class() };
    if (character === "\\") return { type: "set", ranges: unite(this.#escape(false)) };
    if (character === "(") return this.#group();
    if ("*+?{".includes(character)) this.#fail(`nothing to repeat for ${character}`);
    if ("]}".includes(character)) this.#fail(`unexpected ${character} (write \\${character})`);
    return { type: "set", ranges: unite([[character.codePointAt(0)!, character.codePointAt(0)!]]) };
  }

  #group(): RegexNode {
    let isNegative: boolean | undefined;
    if (this.#take("?")) {
      if (this.#peek() === "=" || this.#peek() === "!") isNegative = this.#characters[this.#at++] === "!";
      else if (this.#peek() === "<" && this.#peek(1) !== "=" && this.#peek(1) !== "!") {
        while (this.#peek() !== undefined && !this.#take(">")) this.#at++;
      } else if (!this.#take(":")) this.#fail("look-behind, flags and other groups than (?:, (?<name>, (?= and (?! are not supported");
    }
    const node = this.#choice();
    if (!this.#take(")")) this.#fail("expected )");
    return isNegative === undefined ? node : { type: "look", item: node, isNegative };
  }

  #class(): CodePointRange[] {
    const isNegated = this.#take("^");
    const ranges: CodePointRange[] = [];
    while (!this.#take("]")) {
      const first = this.#classMember();
      const isRange = this.#peek() === "-" && this.#peek(1) !== "]" && this.#peek(1) !== undefined;
      if (!isRange) {
        ranges.push(...first);
        continue;
      }
      this.#at++;
      const last = this.#classMember();
      const [from, to] = [first[0]?.[0], last[0]?.[0]];
      const areSingle = first.length === 1 && last.length === 1 && first[0]![0] === first[0]![1] && last[0]![0] === last[0]![1];
      if (!areSingle || from === undefined || to === undefined)
        this.#fail("a range must have one character at each end (write \\- for a hyphen)");
      if (from > to) this.#fail("a range out of order");
      ranges.push([from, to]);
    }
    const set = unite(ranges);
    return isNegated ? complement(set) : set;
  }

  #classMember(): readonly CodePointRange[] {
    const character = this.#peek();
    if (character === undefined) this.#fail("expected ]");
    this.#at++;
    if (character === "\\") return this.#escape(true);
    return [[character.codePointAt(0)!, character.codePointAt(0)!]];
  }

  #escape(isInClass: boolean): readonly CodePointRange[] {
    const character = this.#peek();
    if (character === undefined) this.#fail("expected a character after \\");
    this.#at++;
    const set = classEscapes[character];
    if (set) return set;
    if (character in controlEscapes && !(character === "0" && /^\d$/.test(this.#peek() ?? ""))) return single(controlEscapes[character]!);
    if (character === "b" && isInClass) return single(8);
    if (character === "x") return single(this.#hex(2));
    if (character === "u") return single(this.#unicodeEscape());
    if (character === "c")
      return single(
        this.#peek() && /^[A-Za-z]$/.test(this.#peek()!)
          ? this.#characters[this.#at++]!.codePointAt(0)! % 32
          : this.#fail("expected a letter after \\c"),
      );
    if (/^(?!\w)[ -~]$/.test(character)) return single(character.codePointAt(0)!);
    if (character === "b" || character === "B") this.#fail("word boundaries are not supported");
    if (character === "p" || character === "P") return this.#property(character === "P");
    if (character === "k" || /^\d$/.test(character)) this.#fail("back references are not supported");
    return this.#fail(`\\${character} is not supported`);
  }

  #property(isNegated: boolean): readonly CodePointRange[] {
    const end = this.#characters.indexOf("}", this.#at);
    const name = this.#take("{") && end >= 0 ? this.#characters.slice(this.#at, end).join("") : "";
    const set = charactersWith(name);
    if (!set) this.#fail("expected a Unicode property of characters, such as \\p{L} or \\p{Script=Han}");
    this.#at = end + 1;
    return isNegated ? complement(set) : set;
  }

  #unicodeEscape(): number {
    if (this.#take("{")) {
      let value = this.#hex(1);
      while (!this.#take("}")) value = value * 16 + this.#hex(1);
      if (value > 0x10ffff) this.#fail("expected a code point of at most 10FFFF");
      return value;
    }
    const unit = this.#hex(4);
    const isPair = unit >= 0xd800 && unit <= 0xdbff && this.#peek() === "\\" && this.#peek(1) === "u" && this.#peek(2) !== "{";
    if (!isPair) return unit;
    this.#at += 2;
    const low = this.#hex(4);
    if (low < 0xdc00 || low > 0xdfff) this.#fail("expected the second half of a surrogate pair");
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
  }

  #hex(length: number): number {
    const digits = this.#characters.slice(this.#at, this.#at + length).join("");
    if (!new RegExp(`^[0-9A-Fa-f]{${length}}$`).test(digits)) this.#fail(`expected ${length} hexadecimal digits`);
    this.#at += length;
    return parseInt(digits, 16);
  }
}

function single(codePoint: number): CodePointRange[] {
  return [[codePoint, codePoint]];
}

/** Any text at all. */
export const anything: RegexNode & { type: "repeat" } = {
  type: "repeat",
  item: { type: "set", ranges: everyCharacter },
  min: 0,
  max: Infinity,
};
