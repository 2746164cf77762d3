// Formulas in TeX become MathML, or stay as they were written.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MathElement, readTex } from "../../web/chat/tex.ts";

/** As in HTML, without rows of elements that are not marked. */
function written({ tag, attributes, children }: MathElement): string {
  const inside = children.map((child) => (typeof child === "string" ? child : written(child))).join("");
  const marks = Object.entries(attributes).map(([name, value]) => ` ${name}=${value}`);
  return tag === "mrow" && marks.length === 0 ? `(${inside})` : `<${tag}${marks.join("")}>${inside}</${tag}>`;
}

/** Letters, numbers and operators as they are, for tests of what is around them. */
const drawn = (tex: string) => {
  const read = readTex(tex);
  return read && written(read).replaceAll(/<(mi|mn|mo)(?: [^>]*)?>([^<]*)<\/\1>/g, "$2");
};

test.each([
  ["x^2", "<msup>x2</msup>"],
  ["x_1^{n+1}", "<msubsup>x1(n+1)</msubsup>"],
  ["x^23", "(<msup>x2</msup>3)"],
  ["y''", "<msup>y(′′)</msup>"],
  ["{}^{14}C", "(<msup>()14</msup>C)"],
  ["^\\circ", "<msup>()∘</msup>"],
  ["\\rm _x", "<msub>()x</msub>"],
  ["x_1_2", "(<msub>x1</msub><msub>()2</msub>)"],
])("scripts: %s", (tex, expected) => {
  expect(drawn(tex)).toBe(expected);
});

test.each([
  ["\\frac{a+1}{b}", "<mfrac>(a+1)b</mfrac>"],
  ["3\\frac12", "(3<mfrac>12</mfrac>)"],
  ["\\sqrt{x}", "<msqrt>x</msqrt>"],
  ["\\sqrt[3]{x}", "<mroot>x3</mroot>"],
  ["[a, b]", "([a,b])"],
  ["\\left( \\frac{1}{2} \\right)^2", "<msup>((<mfrac>12</mfrac>))2</msup>"],
  ["\\left\\{ x \\middle| y \\right.", "({x|y)"],
  ["\\overset{?}{=}", "<mover>=?</mover>"],
  ["\\underbrace{a}_{b}", "<munder><munder>a⏟</munder>b</munder>"],
  ["\\boxed{24}", "<mrow class=boxed>24</mrow>"],
  ["\\textcolor{red}{x}", "x"],
  ["\\underline{\\hspace{2cm}}", "<mrow class=underline><mspace width=2cm></mspace></mrow>"],
  ["\\overset{\\frown}{AB}", "<mover>(AB)⌢</mover>"],
])("structure: %s", (tex, expected) => {
  expect(drawn(tex)).toBe(expected);
});

test.each([
  ["\\sum_{i=1}^n i", "(<munderover>∑(i=1)n</munderover>i)"],
  ["\\mathop{\\lim}\\limits_{x \\to 0}", "<munder>lim(x→0)</munder>"],
  ["\\int_0^1", "<msubsup>∫01</msubsup>"],
  ["\\int\\limits_0^1", "<munderover>∫01</munderover>"],
  ["\\lim_{h \\to 0}", "<munder>lim(h→0)</munder>"],
  ["\\operatorname*{argmax}_x", "<munder>argmaxx</munder>"],
])("limits stand above and below: %s", (tex, expected) => {
  expect(drawn(tex)).toBe(expected);
});

test.each([
  ["\\alpha \\le \\Omega", "(α≤Ω)"],
  ["\\mathbb{RA}", "(ℝ𝔸)"],
  ["\\mathcal{L}", "ℒ"],
  ["a - b \\not= c", "(a−b≠c)"],
  ["50\\%", "(50%)"],
])("symbols: %s", (tex, expected) => {
  expect(drawn(tex)?.normalize()).toBe(expected);
});

test("a number is one, with its separators of thousands", () => {
  expect(written(readTex("1,234.5")!)).toBe("<mn>1,234.5</mn>");
  expect(written(readTex("(1,2)")!)).toContain("<mn>1</mn><mo>,</mo><mn>2</mn>");
});

test("words keep their spaces; letters of \\mathrm are one word", () => {
  expect(written(readTex("\\text{if } x")!)).toBe("(<mtext>if\u00a0</mtext><mi>x</mi>)");
  expect(written(readTex("面积 = \\mathrm{kg}")!)).toBe("(<mtext>面积</mtext><mo>=</mo><mi>kg</mi>)");
});

test.each([
  [
    "\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}",
    "((<mtable><mtr><mtd>a</mtd><mtd>b</mtd></mtr><mtr><mtd>c</mtd><mtd>d</mtd></mtr></mtable>))",
  ],
  [
    "\\begin{cases} 1 & x \\\\ 2 \\end{cases}",
    "({<mtable><mtr><mtd class=left>1</mtd><mtd class=left>x</mtd></mtr><mtr><mtd class=left>2</mtd></mtr></mtable>)",
  ],
  [
    "a &= b \\\\[2pt] &= c \\\\",
    "<mtable displaystyle=true><mtr><mtd class=right>a</mtd><mtd class=left>(=b)</mtd></mtr><mtr><mtd class=right>()</mtd><mtd class=left>(=c)</mtd></mtr></mtable>",
  ],
  [
    "\\begin{array}{l|r} a & b \\\\ \\hline c & d \\end{array}",
    "<mtable displaystyle=true><mtr><mtd class=left>a</mtd><mtd class=right>b</mtd></mtr><mtr><mtd class=left>c</mtd><mtd class=right>d</mtd></mtr></mtable>",
  ],
  ["\\begin{equation*} x \\end{equation*}", "x"],
])("tables: %s", (tex, expected) => {
  expect(drawn(tex)).toBe(expected);
});

describe("what cannot be read stays as it was written", () => {
  test.each([
    "\\mystery{x}",
    "\\constructor",
    "\\toString x",
    "\\begin{constructor} x \\end{constructor}",
    "{x",
    "x}",
    "\\left( x",
    "\\begin{mystery} x \\end{mystery}",
    "\\begin{cases} x",
    "\\frac{1}",
    "x^",
    "\\text{a $b$}",
    "a #",
  ])("%s", (tex) => {
    expect(readTex(tex)).toBeUndefined();
  });

  test.each(["{", "\\sqrt", "x^", "\\left(", "\\begin{matrix}"])("%s without end", (tex) => {
    expect(readTex(tex.repeat(5000))).toBeUndefined();
    expect(readTex(`${tex.repeat(5000)}x${"}".repeat(5000)}`)).toBeUndefined();
  });
});

const piece = fc.constantFrom(
  ..."\\frac { } ^ _ & \\\\ \\sqrt [ ] \\left \\right ( ) . \\middle | \\begin{cases} \\end{cases} \\text{a} ' \\sum x 12 \\mathbf \\not = \\rm \\, \\big".split(
    " ",
  ),
);

test("whatever is written, every element has as many children as MathML wants, and every letter is kept", () => {
  const childCounts: Readonly<Record<string, number>> = {
    mfrac: 2,
    mroot: 2,
    msub: 2,
    msup: 2,
    munder: 2,
    mover: 2,
    msubsup: 3,
    munderover: 3,
  };
  const check = ({ tag, children }: MathElement): void => {
    const elements = children.filter((child) => typeof child !== "string");
    if (tag in childCounts) expect(elements).toHaveLength(childCounts[tag]!);
    elements.forEach(check);
  };
  let readCount = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const read = readTex(pieces.join(" "));
      if (!read) return;
      readCount++;
      check(read);
      const xCount = pieces.filter((one) => one === "x").length;
      expect(written(read).match(/<mi[^>]*>x/g) ?? []).toHaveLength(xCount);
    }),
    { numRuns: 3000 },
  );
  expect(readCount).toBeGreaterThan(100);
});
