// Reads the TeX of a formula into a tree of MathML elements. It knows what models write in answers; a formula with anything else is not read.

import { accents, byName, type Font, functions, letterIn, limits, sizes, spaces, symbols } from "./tex-symbols.ts";

/** An element of MathML Core; attributes without `class` are MathML's own. */
export type MathElement = {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (MathElement | string)[];
};

/** The elements of a formula, or undefined if it has a mistake or a command that is not known here. */
export function readTex(source: string): MathElement | undefined {
  try {
    return new TexReader(source).read();
  } catch (error) {
    if (error instanceof UnknownTex) return undefined;
    throw error;
  }
}

class UnknownTex extends Error {}

const token = /\\(?:[A-Za-z]+|[^])|\s+|\d+(?:,\d{3}(?!\d))*(?:\.\d+)?|\p{Lo}+|[^]/gu;

/** Deeper than any real formula; without it, many open braces would overflow the stack. */
const deepest = 50;

/** What ends a row of elements. */
const rowEnds: readonly (string | undefined)[] = ["}", "&", "\\\\", "\\cr", "\\right", "\\middle", "\\end", undefined];

function element(tag: string, children: MathElement["children"] | string, attributes: MathElement["attributes"] = {}): MathElement {
  return { tag, attributes, children: typeof children === "string" ? [children] : children };
}

const row = (children: readonly MathElement[]) => (children.length === 1 ? children[0]! : element("mrow", children));
const operator = (text: string, attributes: MathElement["attributes"] = {}) => element("mo", text, attributes);
const delimiter = (text: string) => operator(text, { stretchy: "false" });
const gap = (width: string) => element("mspace", [], { width });
const words = (text: string, attributes: MathElement["attributes"] = {}) => element("mtext", text.replaceAll(/\s+/g, "\u00a0"), attributes); // MathML drops spaces at the ends

type Table = {
  readonly fences?: readonly [string, string];
  readonly columns?: string;
  /** The name is followed by its columns, or their number. */
  readonly hasArgument?: boolean;
};

/** By the name in `\begin{…}`. */
const tables = byName<Table>({
  pmatrix: { fences: ["(", ")"] },
  bmatrix: { fences: ["[", "]"] },
  Bmatrix: { fences: ["{", "}"] },
  vmatrix: { fences: ["|", "|"] },
  Vmatrix: { fences: ["‖", "‖"] },
  cases: { fences: ["{", ""], columns: "l" },
  array: { hasArgument: true },
  alignedat: { columns: "rl", hasArgument: true },
  ...Object.fromEntries(["matrix", "smallmatrix", "gathered", "gather", "equation", "multline"].map((name) => [name, {}])),
  ...Object.fromEntries(["aligned", "align", "split", "eqnarray"].map((name) => [name, { columns: "rl" }])),
});

class TexReader {
  readonly #tokens: string[];
  #at = 0;
  #depth = 0;
  #font: Font = "italic";

  constructor(source: string) {
    this.#tokens = source.match(token) ?? [];
  }

  read(): MathElement {
    const whole = this.#table("rl");
    if (this.#next() !== undefined) throw new UnknownTex();
    return whole;
  }

  /** The next token that is not space, without taking it. */
  #next(): string | undefined {
    while (/^\s/.test(this.#tokens[this.#at] ?? "")) this.#at++;
    return this.#tokens[this.#at];
  }

  #takes(text: string): boolean {
    if (this.#next() !== text) return false;
    this.#at++;
    return true;
  }

  #need(text: string): void {
    if (!this.#takes(text)) throw new UnknownTex();
  }

  /** Cells between `&` and `\\`, or their only cell. `columns`: the alignment of each column (l, c or r), repeated for further ones. */
  #table(columns: string, isLarge = true): MathElement {
    const rows: MathElement[][] = [[]];
    do {
      if (this.#next() === undefined || this.#next() === "\\end") break; // after a last \\
      while (this.#takes("\\hline"));
      rows.at(-1)!.push(this.#row());
      if (this.#takes("&")) continue;
      if (!this.#takes("\\\\") && !this.#takes("\\cr")) break;
      if (this.#next() === "[") this.#raw("[", "]"); // the height of a gap
      rows.push([]);
    } while (this.#at < this.#tokens.length);
    const filled = rows.filter((cells) => cells.length > 0);
    if (filled.length < 2 && (filled[0]?.length ?? 0) < 2) return filled[0]?.[0] ?? element("mrow", []);
    const toCell = (cell: MathElement, column: number) => {
      const side = { l: "left", r: "right" }[columns[column % columns.length]!];
      return element("mtd", [cell], side ? { class: side } : {});
    };
    const toRow = (cells: readonly MathElement[]) => element("mtr", cells.map(toCell));
    return element("mtable", filled.map(toRow), isLarge ? { displaystyle: "true" } : {});
  }

  #row(ends = rowEnds): MathElement {
    const font = this.#font;
    const children: MathElement[] = [];
    while (!ends.includes(this.#next())) children.push(...this.#scripted());
    this.#font = font;
    return row(children);
  }

  /** One element with its scripts; none for a command that only changes what follows. */
  #scripted(): MathElement[] {
    const base = ["^", "_", "'"].includes(this.#next()!) ? element("mrow", []) : this.#atom();
    if (!base) return [];
    let [under, over]: (MathElement | undefined)[] = [];
    let hasLimits = isUnderAndOver(base);
    for (;;) {
      if (this.#takes("^")) over = row([...(over ? [over] : []), this.#argument()]);
      else if (!under && this.#takes("_")) under = this.#argument();
      else if (this.#takes("'")) over = row([...(over ? [over] : []), operator("′")]);
      else if (this.#takes("\\limits")) hasLimits = true;
      else if (this.#takes("\\nolimits")) hasLimits = false;
      else break;
    }
    if (!under && !over) return [base];
    const [sub, sup] = hasLimits ? ["munder", "mover"] : ["msub", "msup"];
    if (under && over) return [element(hasLimits ? "munderover" : "msubsup", [base, under, over])];
    return [element(under ? sub! : sup!, [base, under ?? over!])];
  }

  /** A group, or one element; of a number, its first digit. */
  #argument(): MathElement {
    const next = this.#next();
    if (next !== undefined && /^\d./.test(next)) this.#tokens.splice(this.#at, 1, next[0]!, next.slice(1));
    if (next === undefined || rowEnds.includes(next)) throw new UnknownTex();
    return this.#atom() ?? this.#argument();
  }

  #atom(): MathElement | undefined {
    if (++this.#depth > deepest) throw new UnknownTex();
    const atom = this.#read(this.#next()!);
    this.#depth--;
    return atom;
  }

  #read(next: string): MathElement | undefined {
    this.#at++;
    if (next === "{") return this.#group("}");
    if (next[0] === "\\") return this.#command(next.slice(1));
    if (/^\d/.test(next)) return element("mn", next, this.#weight());
    if (/^\p{Lo}/u.test(next)) return words(next);
    if (/^\p{L}$/u.test(next)) return this.#letters(next);
    if (next === "~") return words(" ");
    if (next === "#") throw new UnknownTex();
    if ("()[]|/".includes(next)) return delimiter(next);
    return operator({ "-": "−", "*": "∗" }[next] ?? next);
  }

  #weight(): MathElement["attributes"] {
    return this.#font === "bold" ? { class: "bold" } : {};
  }

  /** The rest of a row and what closes it. */
  #group(end: string): MathElement {
    const inside = this.#row([...rowEnds, end]);
    this.#need(end);
    return inside;
  }

  /** In a font of words (`\mathrm`), letters side by side are one word. */
  #letters(first: string): MathElement {
    let text = first;
    if (this.#font === "upright") while (/^[A-Za-z]$/.test(this.#tokens[this.#at] ?? "")) text += this.#tokens[this.#at++]!;
    const isUpright = this.#font !== "italic" && text.length === 1;
    return element("mi", letterIn(text, this.#font), { ...(isUpright && { mathvariant: "normal" }), ...this.#weight() });
  }

  /** The source between two marks, with nested ones. */
  #raw(open = "{", end = "}"): string {
    this.#need(open);
    let text = "";
    for (let level = 1; ;) {
      const next = this.#tokens[this.#at++];
      if (next === undefined) throw new UnknownTex();
      if (next === open) level++;
      if (next === end && --level === 0) return text;
      text += next;
    }
  }

  #command(name: string): MathElement | undefined {
    const symbol = symbols.get(name);
    if (symbol) return element(symbol.tag, symbol.text, { ...symbol.attributes, ...this.#weight() });
    const space = spaces.get(name);
    if (space !== undefined) return gap(space);
    if (functions.has(name)) return operator(name, { lspace: "0", rspace: "0.17em" });
    const limit = limits.get(name);
    if (limit !== undefined) return operator(limit, { movablelimits: "true", lspace: "0.17em", rspace: "0.17em" });
    const accent = accents.get(name);
    if (accent)
      return element("mover", [this.#argument(), operator(accent.text, { stretchy: `${accent.isWide === true}` })], { accent: "true" });
    const size = sizes.get(name.replace(/[lrm]$/, ""));
    if (size !== undefined) return operator(this.#delimiterText(), { minsize: size, maxsize: size, stretchy: "true" });
    const font = fonts.get(name);
    if (font) return this.#inFont(font, () => this.#argument());
    return this.#structure(name);
  }

  #inFont<T>(font: Font, read: () => T): T {
    const before = this.#font;
    this.#font = font;
    const result = read();
    this.#font = before;
    return result;
  }

  #structure(name: string): MathElement | undefined {
    switch (name) {
      case "frac":
      case "tfrac":
      case "dfrac":
      case "cfrac": {
        const fraction = element("mfrac", [this.#argument(), this.#argument()]);
        return name === "frac" || name === "tfrac" ? fraction : element("mstyle", [fraction], { displaystyle: "true" });
      }
      case "binom":
      case "dbinom":
      case "tbinom": {
        const inside = element("mfrac", [this.#argument(), this.#argument()], { linethickness: "0" });
        return element("mrow", [operator("("), inside, operator(")")]);
      }
      case "sqrt": {
        const index = this.#takes("[") ? this.#group("]") : undefined;
        return index ? element("mroot", [this.#argument(), index]) : element("msqrt", [this.#argument()]);
      }
      case "left":
        return this.#fenced();
      case "begin":
        return this.#environment();
      case "overset":
      case "stackrel": {
        const over = this.#argument();
        return element("mover", [this.#argument(), over]);
      }
      case "underset": {
        const under = this.#argument();
        return element("munder", [this.#argument(), under]);
      }
      case "overbrace":
        return element("mover", [this.#argument(), operator("⏞", { stretchy: "true" })]);
      case "underbrace":
        return element("munder", [this.#argument(), operator("⏟", { stretchy: "true" })]);
      case "overline":
      case "underline":
      case "boxed":
        return element("mrow", [this.#argument()], { class: name });
      case "xrightarrow":
      case "xleftarrow":
        return element("mover", [operator(name === "xrightarrow" ? "→" : "←", { stretchy: "true" }), this.#argument()]);
      case "not": {
        const { tag, attributes, children } = this.#argument();
        if (tag !== "mo") throw new UnknownTex();
        return element(tag, `${String(children[0])}\u0338`, attributes);
      }
      case "pmod":
        return element("mrow", [gap("1em"), delimiter("("), operator("mod", { rspace: "0.3em" }), this.#argument(), delimiter(")")]);
      default:
        return this.#textCommand(name);
    }
  }

  #textCommand(name: string): MathElement | undefined {
    switch (name) {
      case "text":
      case "textrm":
      case "textit":
      case "textsf":
      case "mbox":
      case "textnormal":
        return words(plainText(this.#raw()));
      case "textbf":
        return words(plainText(this.#raw()), { class: "bold" });
      case "operatorname":
        if (this.#takes("*")) return operator(plainText(this.#raw()), { movablelimits: "true", rspace: "0.17em" });
        return operator(plainText(this.#raw()), { lspace: "0", rspace: "0.17em" });
      case "tag":
        return words(`    (${plainText(this.#raw())})`);
      case "textcolor":
        this.#raw();
        return this.#argument();
      case "mathop":
        return this.#argument();
      case "hspace":
        return gap(/^[\d.]+(?:em|ex|cm|mm|pt)$/.exec(this.#raw())?.[0] ?? "1em");
      case "color":
      case "label":
      case "vspace":
        this.#raw();
        return undefined;
      case "displaystyle":
      case "textstyle":
      case "nonumber":
      case "notag":
        return undefined;
      case "rm":
      case "bf":
      case "it":
        this.#font = { rm: "upright", bf: "bold", it: "italic" }[name] as Font; // up to the end of the row
        return undefined;
      default:
        throw new UnknownTex();
    }
  }

  /** `\left( … \middle| … \right)`. */
  #fenced(): MathElement {
    const fence = () => {
      const text = this.#delimiterText();
      return text === "." ? [] : [operator(text, { stretchy: "true" })];
    };
    const children = [...fence(), this.#row()];
    while (this.#takes("\\middle")) children.push(...fence(), this.#row());
    this.#need("\\right");
    return element("mrow", [...children, ...fence()]);
  }

  #delimiterText(): string {
    const next = this.#next();
    if (next === undefined) throw new UnknownTex();
    this.#at++;
    if (/^[()[\]|/.<>]$/.test(next)) return { "<": "⟨", ">": "⟩" }[next] ?? next;
    const symbol = symbols.get(next.slice(1));
    if (next[0] !== "\\" || symbol?.tag !== "mo") throw new UnknownTex();
    return symbol.text;
  }

  #environment(): MathElement {
    const name = this.#raw();
    const table = tables.get(name.replace(/\*$/, ""));
    if (!table) throw new UnknownTex();
    const { fences, columns = "c", hasArgument } = table;
    const own = hasArgument ? this.#raw().replaceAll(/[^lcr]/g, "") : "";
    const inside = this.#table(own || columns, !fences);
    this.#need("\\end");
    if (this.#raw() !== name) throw new UnknownTex();
    const [open, close] = (fences ?? ["", ""]).map((text) => (text === "" ? [] : [operator(text, { stretchy: "true" })]));
    return row([...open!, inside, ...close!]);
  }
}

const fonts = byName<Font>({
  mathrm: "upright",
  mathit: "italic",
  mathbf: "bold",
  boldsymbol: "bold",
  bm: "bold",
  mathbb: "double",
  mathcal: "script",
  mathscr: "script",
  mathfrak: "fraktur",
  mathsf: "upright",
  mathtt: "upright",
});

/** Text of `\text{…}`: only its escapes and nested groups are TeX. */
function plainText(source: string): string {
  const text = source.replaceAll(/\\([%$&#_{} ,])/g, (_, mark: string) => (mark === "," ? " " : mark));
  if (/\\[A-Za-z]|\$/.test(source)) throw new UnknownTex();
  return text;
}

const bigOperators = "∑∏∐⋃⋂⨁⨂⋁⋀";

function isUnderAndOver({ tag, attributes, children }: MathElement): boolean {
  if (tag === "mo") return "movablelimits" in attributes || bigOperators.includes(String(children[0]));
  return (tag === "mover" || tag === "munder") && (children[1] as MathElement).children.some((text) => text === "⏞" || text === "⏟");
}
