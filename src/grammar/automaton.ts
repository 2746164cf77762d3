// Compiles a grammar into an automaton over symbols: bytes 0 … 255 and, from 256 on, control tokens. Rules are calls, and counted repeats keep
// their count on the stack, so that the size does not depend on the counts.

import { RequestError } from "../core/errors.ts";
import { type ByteRange, utf8Sequences } from "./code-points.ts";
import type { CharacterState, Expression, Grammar } from "./expression.ts";
import { pruneGrammar } from "./prune-grammar.ts";

/** Counted repeats up to this many are unrolled. */
const writtenOutCount = 4;
const maxNodes = 200_000;
export const controlSymbolStart = 256;

type SymbolEdge = { readonly first: number; readonly last: number; readonly target: number };
export type Call = { readonly start: number; readonly returnTo: number };
/** A counted repeat: the body runs from `start` to `end`, and then again or on to `exit`. */
export type CountedRepeat = {
  readonly start: number;
  readonly end: number;
  readonly exit: number;
  readonly min: number;
  readonly max: number;
};

type Node = {
  readonly edges: SymbolEdge[];
  readonly jumps: number[];
  readonly calls: Call[];
  /** Repeats that begin here. */
  readonly repeats: CountedRepeat[];
  /** The repeat whose body ends here. */
  endsRepeat: CountedRepeat | undefined;
  /** Whether it is the end of a rule, or of the grammar if no rule was called. */
  isEnd: boolean;
};

/** How one character of a set is read: single bytes directly, longer spellings by a call. */
type Spelling = { readonly bytes: (readonly [number, number])[]; readonly start: number };

export type Automaton = { readonly nodes: readonly Node[]; readonly start: number };

/** Throws RequestError for grammars with undefined rules, without any possible answer, with left recursion, or too large. */
export function buildAutomaton(grammar: Grammar, controlContents: readonly string[]): Automaton {
  const { root, rules, isNullable } = pruneGrammar(grammar);
  return new Builder(rules, controlContents, isNullable).build(root);
}

class Builder {
  readonly #nodes: Node[] = [];
  readonly #rules: ReadonlyMap<string, Expression>;
  readonly #controlContents: readonly string[];
  readonly #isNullable: (expression: Expression) => boolean;
  readonly #starts = new Map<string, number>();
  readonly #spellings = new Map<Expression, Spelling>();

  constructor(rules: ReadonlyMap<string, Expression>, controlContents: readonly string[], isNullable: (expression: Expression) => boolean) {
    this.#rules = rules;
    this.#controlContents = controlContents;
    this.#isNullable = isNullable;
  }

  build(root: Expression): Automaton {
    const start = this.#node();
    for (const name of this.#rules.keys()) this.#starts.set(name, this.#node());
    this.#between(start, this.#end(), root);
    for (const [name, body] of this.#rules) this.#between(this.#starts.get(name)!, this.#end(), body);
    return { nodes: this.#nodes, start };
  }

  #node(): number {
    if (this.#nodes.length >= maxNodes)
      throw new RequestError(`the grammar is too large: it has more than ${maxNodes} states; simplify it`);
    this.#nodes.push({ edges: [], jumps: [], calls: [], repeats: [], endsRepeat: undefined, isEnd: false });
    return this.#nodes.length - 1;
  }

  #end(): number {
    const end = this.#node();
    this.#nodes[end]!.isEnd = true;
    return end;
  }

  #between(from: number, to: number, expression: Expression): void {
    switch (expression.type) {
      case "text":
        return this.#path(
          from,
          to,
          Array.from(Buffer.from(expression.text), (byte) => [byte, byte] as const),
        );
      case "characters":
        return this.#paths(from, to, expression.ranges.flatMap(utf8Sequences));
      case "control": {
        const symbol = controlSymbolStart + this.#controlContents.indexOf(expression.content);
        if (symbol < controlSymbolStart) throw new RequestError(`this model has no ${expression.content} token`);
        return this.#path(from, to, [[symbol, symbol]]);
      }
      case "sequence": {
        let at = from;
        expression.items.forEach((item, i) => {
          const next = i === expression.items.length - 1 ? to : this.#node();
          this.#between(at, next, item);
          at = next;
        });
        if (expression.items.length === 0) this.#nodes[from]!.jumps.push(to);
        return;
      }
      case "choice":
        for (const option of expression.options) this.#between(from, to, option);
        return;
      case "repeat":
        return this.#repeat(from, to, expression);
      case "rule":
        this.#nodes[from]!.calls.push({ start: this.#starts.get(expression.name)!, returnTo: to });
        return;
      case "states":
        return this.#states(from, to, expression.states);
    }
  }

  #states(from: number, to: number, states: readonly CharacterState[]): void {
    const nodes = states.map(() => this.#node());
    this.#nodes[from]!.jumps.push(nodes[0]!);
    states.forEach(({ isEnd, steps }, i) => {
      const node = this.#nodes[nodes[i]!]!;
      if (isEnd) node.jumps.push(to);
      for (const { over, target } of steps) {
        const { bytes, start } = this.#spelling(over);
        for (const [first, last] of bytes) node.edges.push({ first, last, target: nodes[target]! });
        if (this.#nodes[start]!.edges.length > 0) node.calls.push({ start, returnTo: nodes[target]! });
      }
    });
  }

  #spelling(over: Expression): Spelling {
    let spelling = this.#spellings.get(over);
    if (!spelling) {
      spelling = { bytes: [], start: this.#node() };
      this.#spellings.set(over, spelling);
      const end = this.#end();
      for (const part of over.type === "choice" ? over.options : [over]) this.#spell(part, spelling, end);
    }
    return spelling;
  }

  #spell(part: Expression, { bytes, start }: Spelling, end: number): void {
    if (part.type !== "characters") return this.#between(start, end, part);
    const sequences = part.ranges.flatMap(utf8Sequences);
    bytes.push(...sequences.filter(({ length }) => length === 1).map(([byte]) => byte!));
    this.#paths(
      start,
      end,
      sequences.filter(({ length }) => length > 1),
    );
  }

  /** Beginnings that are equal share their nodes, so that reading a character of many ranges follows one path. */
  #paths(from: number, to: number, sequences: readonly (readonly ByteRange[])[]): void {
    const starts = new Map<string, number>();
    for (const bytes of sequences) {
      let at = from;
      for (let length = 1; length < bytes.length; length++) {
        const beginning = bytes.slice(0, length).join(" ");
        const [first, last] = bytes[length - 1]!;
        let target = starts.get(beginning);
        if (target === undefined) {
          target = this.#node();
          starts.set(beginning, target);
          this.#nodes[at]!.edges.push({ first, last, target });
        }
        at = target;
      }
      this.#path(at, to, bytes.slice(-1));
    }
  }

  #path(from: number, to: number, symbols: readonly (readonly [number, number])[]): void {
    let at = from;
    symbols.forEach(([first, last], i) => {
      const target = i === symbols.length - 1 ? to : this.#node();
      this.#nodes[at]!.edges.push({ first, last, target });
      at = target;
    });
    if (symbols.length === 0) this.#nodes[from]!.jumps.push(to);
  }

  #repeat(from: number, to: number, { item, min, max }: Expression & { type: "repeat" }): void {
    if (max === 0) return void this.#nodes[from]!.jumps.push(to);
    // A body that may be empty can satisfy any minimum with empty repeats.
    const least = this.#isNullable(item) ? 0 : min;
    if (max === Infinity && least <= 1) return this.#loop(from, to, item, least === 1);
    if (max <= writtenOutCount || (max === Infinity && least <= writtenOutCount)) return this.#writtenOut(from, to, item, least, max);
    if (this.#isNullable(item)) throw new RequestError(`the grammar repeats up to ${max} times what may be empty; repeat what is not`);
    const [start, end] = [this.#node(), this.#node()];
    const repeat = { start, end, exit: to, min, max };
    this.#nodes[from]!.repeats.push(repeat);
    if (min === 0) this.#nodes[from]!.jumps.push(to);
    this.#nodes[end]!.endsRepeat = repeat;
    this.#between(start, end, item);
  }

  #loop(from: number, to: number, item: Expression, isOnceAtLeast: boolean): void {
    const around = this.#node();
    if (isOnceAtLeast) this.#between(from, around, item);
    else this.#nodes[from]!.jumps.push(around);
    this.#between(around, around, item);
    this.#nodes[around]!.jumps.push(to);
  }

  #writtenOut(from: number, to: number, item: Expression, min: number, max: number): void {
    let at = from;
    for (let i = 0; i < min; i++) {
      const next = this.#node();
      this.#between(at, next, item);
      at = next;
    }
    if (max === Infinity) return this.#loop(at, to, item, false);
    for (let i = min; i < max; i++) {
      const next = this.#node();
      this.#nodes[at]!.jumps.push(to);
      this.#between(at, next, item);
      at = next;
    }
    this.#nodes[at]!.jumps.push(to);
  }
}
