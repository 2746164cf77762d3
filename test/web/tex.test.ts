// Formulas in TeX become MathML, or stay as they were written.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MathElement, readTex } from "../../web/chat/tex.ts";

/** As in HTML, without rows of elements that are not marked, and without what only moves them a little. */
function written({ tag, attributes, children }: MathElement): string {
  const inside = children.map((child) => (typeof child === "string" ? child : written(child))).join("");
  return tag === "mrow" || attributes["class"]?.includes("tml-") === true ? inside : `<${tag}>${inside}</${tag}>`;
}

function lettersOf({ children }: MathElement): string {
  return children.map((child) => (typeof child === "string" ? child : lettersOf(child))).join("");
}

const drawn = (tex: string) => {
  const math = readTex(tex, true);
  return math && written(math);
};

test.each([
  ["x_1^2", "<msubsup><mi>x</mi><mn>1</mn>2</msubsup>"],
  ["\\frac{1}{b}", "<mfrac><mn>1</mn><mi>b</mi></mfrac>"],
  ["\\sqrt{x}", "<msqrt><mi>x</mi><mspace></mspace></msqrt>"],
  ["5%", "<mn>5</mn><mi>%</mi>"],
  ["5\\%", "<mn>5</mn><mi>%</mi>"],
  ["\\sum_{i}^n", "<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover>"],
  ["1,234.5 \\le \\alpha", "<mn>1,234.5</mn><mo>≤</mo><mi>α</mi>"],
  ["\\mathbb{R}", "<mi>ℝ</mi>"],
  ["速度\\text{ if }", "<mtext>速</mtext><mtext>度</mtext><mtext> if </mtext>"],
  ["\\begin{matrix} a & b \\end{matrix}", "<mtable><mtr><mtd><mi>a</mi></mtd><mtd><mi>b</mi></mtd></mtr></mtable>"],
])("%s", (tex, expected) => {
  expect(drawn(tex)?.replaceAll("\u00a0", " ")).toBe(expected);
});

test("rows apart from an environment are those of one", () => {
  expect(readTex("a &= b \\\\ &= c", true)).toEqual(readTex("\\begin{aligned}a &= b \\\\ &= c\\end{aligned}", true));
});

test("a formula within a line has a row up to each of its operators, after which browsers break the line", () => {
  const rows = (isBlock: boolean) => readTex("a + (b + c) = d", isBlock)!.children.map((row) => lettersOf(row as MathElement));

  expect(rows(false)).toEqual(["a+", "(b+c)=", "d"]);
  expect(rows(true)).toEqual(["a+(b+c)=d"]);
});

test("a block has limits above and below its sums, a formula within a line beside them", () => {
  const root = (isBlock: boolean) => readTex("\\sum_i", isBlock)!;

  expect(root(true)).toMatchObject({ tag: "math", attributes: { display: "block" } });
  expect(written(root(true))).toContain("<munder>");
  expect(root(false).attributes["display"]).toBeUndefined();
  expect(written(root(false))).toContain("<msub>");
});

test("colours and widths become styles, and nothing else does", () => {
  const stylesIn = ({ style, children }: MathElement): object[] => [
    style,
    ...children.flatMap((child) => (typeof child === "string" ? [] : stylesIn(child))),
  ];

  expect(stylesIn(readTex("\\textcolor{#12ab34}{x}", false)!)).toContainEqual({ color: "#12ab34" });
  expect(readTex("\\textcolor{url(https://a.b)}{x}", false)).toBeUndefined();
});

describe("what cannot be read stays as it was written", () => {
  test.each([
    "\\mystery{x}",
    "\\constructor",
    "\\begin{constructor} x \\end{constructor}",
    "{x",
    "x}",
    "\\left( x",
    "\\frac{1}",
    "a #",
    "\\href{javascript:alert(1)}{x}",
    "\\includegraphics{https://a.b/c.png}",
    "\\def\\a{\\a\\a}\\a",
  ])("%s", (tex) => {
    expect(readTex(tex, true)).toBeUndefined();
  });

  test.each(["{", "\\sqrt", "x^"])("%s many times, without end", (tex) => {
    for (const count of [200, 5000]) expect(readTex(tex.repeat(count), true)).toBeUndefined();
  });

  test.each(["\\sqrt{", "x^{", "\\left(", "\\begin{matrix}"])("%s many times", (tex) => {
    for (const count of [200, 5000]) {
      expect(readTex(tex.repeat(count), true)).toBeUndefined();
      expect(readTex(`${tex.repeat(count)}x${"}".repeat(count)}`, true)).toBeUndefined();
    }
  });
});

const piece = fc.constantFrom(
  ..."\\frac { } ^ _ & \\\\ \\sqrt [ ] \\left \\right ( ) . \\middle | \\begin{cases} \\end{cases} \\text{a} ' \\sum x 12 \\mathbf \\not = \\rm \\, \\big \\ce{ \\ref{a} \\tag{b} \\cancel".split(
    " ",
  ),
);

test("whatever is written, only elements of MathML are drawn, with as many children as it wants, and every letter is kept", () => {
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
    expect(tag).toMatch(/^m[a-z]+$/);
    const elements = children.filter((child) => typeof child !== "string");
    if (tag in childCounts) expect(elements).toHaveLength(childCounts[tag]!);
    if (tag === "mtable") for (const row of elements) expect(row.tag).toBe("mtr");
    if (tag === "mtr") for (const cell of elements) expect(cell.tag).toBe("mtd");
    elements.forEach(check);
  };
  let readCount = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const math = readTex(pieces.join(" "), true);
      if (!math) return;
      readCount++;
      check(math);
      const xCount = pieces.filter((one) => one === "x").length;
      expect(lettersOf(math).normalize("NFKC").match(/x/g) ?? []).toHaveLength(xCount);
    }),
    { numRuns: 3000 },
  );
  expect(readCount).toBeGreaterThan(100);
});
