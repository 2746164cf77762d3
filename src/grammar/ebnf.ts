// Reads EBNF in the notation of llama.cpp's and xgrammar's grammar files:
//   root ::= "yes" | "no" reason{0,2}      # rules, literals, counts, comments
//   reason ::= " because " [a-z]+ .        # classes, * + ?, and . for any character

import { RequestError } from "../core/errors.ts";
import { type CodePointRange, complement, everyCharacter, unite } from "./code-points.ts";
import { characters, choice, type Expression, type Grammar, repeat, rule, sequence, text } from "./expression.ts";

const maxBytes = 65_536;
const maxDepth = 64;
const maxCount = 65_536;
const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  '"': '"',
  "'": "'",
  "\\": "\\",
  "]": "]",
  "[": "[",
  "-": "-",
  "^": "^",
};

/** The rule `root` is where it starts. `param` names the field for errors. Throws RequestError. */
export function parseEbnf(source: string, param: string): Grammar {
  const bytes = Buffer.byteLength(source);
  if (bytes > maxBytes) throw new RequestError(`${param}: expected a grammar of at most ${maxBytes} bytes, got ${bytes}`, { param });
  return new EbnfParser(source, param).parse();
}

class EbnfParser {
  readonly #source: string;
  readonly #param: string;
  #at = 0;
  #depth = 0;

  constructor(source: string, param: string) {
    this.#source = source;
    this.#param = param;
  }

  parse(): Grammar {
    const rules = new Map<string, Expression>();
    for (this.#skip(); this.#at < this.#source.length; this.#skip()) {
      const name = this.#match(/[A-Za-z0-9_-]+/y) ?? this.#fail("expected the name of a rule");
      this.#skip();
      if (this.#match(/::=/y) === undefined) this.#fail("expected ::=");
      if (rules.has(name)) this.#fail(`the rule ${JSON.stringify(name)} is defined twice`);
      rules.set(name, this.#choice());
    }
    if (!rules.has("root")) throw new RequestError(`${this.#param}: expected a rule named root`, { param: this.#param });
    return { root: rule("root"), rules };
  }

  #fail(problem: string): never {
    const before = this.#source.slice(0, this.#at).split("\n");
    const place = `line ${before.length}, column ${before.at(-1)!.length + 1}`;
    throw new RequestError(`${this.#param}: ${problem} at ${place} of the grammar`, { param: this.#param });
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  /** Whitespace and comments. */
  #skip(): void {
    this.#match(/(?:\s|#[^\n]*(?:\n|$))*/y);
  }

  #choice(): Expression {
    if (++this.#depth > maxDepth) this.#fail(`more than ${maxDepth} groups inside each other`);
    const options = [this.#sequence()];
    while (this.#match(/\|/y) !== undefined) options.push(this.#sequence());
    this.#depth--;
    return options.length === 1 ? options[0]! : choice(...options);
  }

  #sequence(): Expression {
    const items: Expression[] = [];
    for (;;) {
      this.#skip();
      const item = this.#item();
      if (!item) return sequence(...items);
      items.push(this.#counted(item));
    }
  }

  /** Undefined where a sequence ends. */
  #item(): Expression | undefined {
    const next = this.#source[this.#at];
    if (next === '"') return this.#literal();
    if (next === "[") return this.#class();
    if (this.#match(/\./y) !== undefined) return characters(...everyCharacter);
    if (this.#match(/\(/y) !== undefined) {
      const inner = this.#choice();
      if (this.#match(/\)/y) === undefined) this.#fail("expected )");
      return inner;
    }
    // A name before ::= begins the next rule.
    const found = this.#match(/[A-Za-z0-9_-]+(?![A-Za-z0-9_-])(?!(?:\s|#[^\n]*(?:\n|$))*::=)/y);
    if (found !== undefined) return rule(found);
    if (next !== undefined && !/[|)A-Za-z0-9_-]/.test(next)) this.#fail(`unexpected ${next}`);
    return undefined;
  }

  #counted(item: Expression): Expression {
    if (this.#match(/\*/y) !== undefined) return repeat(item, 0, Infinity);
    if (this.#match(/\+/y) !== undefined) return repeat(item, 1, Infinity);
    if (this.#match(/\?/y) !== undefined) return repeat(item, 0, 1);
    if (this.#match(/\{/y) === undefined) return item;
    const counts = /^(\d+)(?:\s*(,)\s*(\d*))?$/.exec(this.#match(/[^}\n]*/y)!.trim());
    if (!counts || this.#match(/\}/y) === undefined) this.#fail("expected {count}, {least,} or {least,most}");
    const min = Number(counts[1]);
    const max = counts[2] === undefined ? min : counts[3] === "" ? Infinity : Number(counts[3]);
    if (min > max) this.#fail(`expected a count of at least ${min}, got ${max}`);
    if (min > maxCount || (max !== Infinity && max > maxCount)) this.#fail(`expected counts of at most ${maxCount}`);
    return repeat(item, min, max);
  }

  #literal(): Expression {
    this.#at++;
    let content = "";
    while (this.#match(/"/y) === undefined) content += String.fromCodePoint(this.#character("a literal"));
    if (/\p{Surrogate}/u.test(content)) this.#fail("half a surrogate pair cannot be spelled");
    return text(content);
  }

  #class(): Expression {
    this.#at++;
    const isNegated = this.#match(/\^/y) !== undefined;
    const ranges: CodePointRange[] = [];
    while (this.#match(/\]/y) === undefined) {
      const first = this.#character("a class");
      const last = this.#match(/-(?!\])/y) === undefined ? first : this.#character("a class");
      if (first > last) this.#fail("a range out of order");
      ranges.push([first, last]);
    }
    const set = unite(ranges);
    return characters(...(isNegated ? complement(set) : set));
  }

  #character(where: string): number {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined || code === 0x0a) this.#fail(`${where} is not closed`);
    this.#at += code > 0xffff ? 2 : 1;
    if (code !== 0x5c) return code;
    const hex = this.#match(/x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}/y);
    if (hex !== undefined) {
      const value = parseInt(hex.slice(1), 16);
      if (value > 0x10ffff) this.#fail("expected a code point of at most 10FFFF");
      return value;
    }
    const escaped = escapes[this.#source[this.#at] ?? ""];
    if (escaped === undefined) this.#fail(`\\${this.#source[this.#at] ?? ""} is not an escape`);
    this.#at++;
    return escaped.codePointAt(0)!;
  }
}
