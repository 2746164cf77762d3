// Markdown becomes elements, and nothing a model writes becomes anything else.

import * as fc from "fast-check";
import { lexer, type MarkedToken } from "marked";
import { type Component, type ComponentChildren, isValidElement, type VNode } from "preact";
import { describe, expect, test } from "vitest";
import { CopyButton } from "../../web/view/buttons.tsx";
import { drawMarkdown as drawParsed } from "../../web/view/markdown.tsx";
import { type ParsedMarkdown, parseMarkdown, safeAddress } from "../../web/view/parse-markdown.ts";

type Drawn = { readonly tag: string; readonly props: Record<string, unknown>; readonly children: readonly (Drawn | string)[] };

/** Draws components as a browser would, without one. The copy button is the page's own. */
function draw(node: ComponentChildren): (Drawn | string)[] {
  if (Array.isArray(node)) return node.flatMap(draw);
  if (node === null || node === undefined || typeof node === "boolean") return [];
  if (!isValidElement(node)) return [String(node)];
  const { type, props } = node as VNode<{ children?: ComponentChildren }>;
  if (type === CopyButton) return [];
  if (typeof type === "function" && type.prototype?.render) {
    return draw(new (type as new (props: unknown) => Component)(props).render() as ComponentChildren);
  }
  if (typeof type === "function") return draw((type as (props: unknown) => ComponentChildren)(props));
  const { children, ...rest } = props;
  return [{ tag: String(type), props: rest, children: draw(children) }];
}

function elementsOf(nodes: readonly (Drawn | string)[]): Drawn[] {
  return nodes.flatMap((node) => (typeof node === "string" ? [] : [node, ...elementsOf(node.children)]));
}

function textOf(nodes: readonly (Drawn | string)[]): string {
  return nodes.map((node) => (typeof node === "string" ? node : textOf(node.children))).join("");
}

function depthOf(nodes: readonly (Drawn | string)[]): number {
  return 1 + Math.max(0, ...nodes.map((node) => (typeof node === "string" ? 0 : depthOf(node.children))));
}

const drawMarkdown = (text: string) => draw(drawParsed(parseMarkdown(text)));

describe("HTML in an answer stays text", () => {
  test.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    'before <b onclick="alert(1)">bold</b> after',
    "<!-- comment -->",
    "<svg><script>alert(1)</script></svg>",
    "a <iframe src='javascript:alert(1)'></iframe>",
  ])("%s", (text) => {
    const drawn = drawMarkdown(text);

    expect(textOf(drawn)).toBe(text);
    expect(elementsOf(drawn).map(({ tag }) => tag)).not.toContain("script");
  });
});

describe("links", () => {
  test.each(["https://example.com/a?b=c#d", "http://example.com", "mailto:a@example.com"])("lead to %s", (href) => {
    const link = elementsOf(drawMarkdown(`[here](${href})`)).find(({ tag }) => tag === "a");

    expect(link?.props).toEqual({ href, target: "_blank", rel: "noopener noreferrer nofollow" });
  });

  test.each(["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "/v1/models", "//evil"])(
    "do not lead to %s, but keep their text",
    (href) => {
      const drawn = drawMarkdown(`[here](${href})`);

      expect(safeAddress(href)).toBeUndefined();
      expect(elementsOf(drawn).filter(({ tag }) => tag === "a")).toEqual([]);
      expect(textOf(drawn)).toBe("here");
    },
  );
});

test.each(["[here](https://a.b/?x=1&amp;y=2)", "https://a.b/?x=1&y=2"])("an address with an ampersand is that address: %s", (text) => {
  const link = elementsOf(drawMarkdown(text)).find(({ tag }) => tag === "a");

  expect(link?.props["href"]).toBe("https://a.b/?x=1&y=2");
});

test("an address that hides its scheme in entities is no link", () => {
  expect(elementsOf(drawMarkdown("[here](javascript&#58;alert(1))")).map(({ tag }) => tag)).not.toContain("a");
});

test("pictures in an answer are named, not loaded", () => {
  const drawn = drawMarkdown("![a cat](https://example.com/cat.png)");

  expect(elementsOf(drawn).map(({ tag }) => tag)).toEqual(["div", "p"]);
  expect(textOf(drawn)).toBe("[picture: a cat]");
});

/** Attributes of MathML that only say how a formula looks. */
const mathAttributes =
  "class style display tabindex mathvariant displaystyle scriptlevel form fence separator stretchy symmetric minsize maxsize lspace rspace width height".split(
    " ",
  );
const allowed: Readonly<Record<string, readonly string[]>> = {
  div: ["class", "lang", "tabIndex", "role", "aria-label"],
  span: ["class", "tabindex"],
  pre: ["tabIndex", "tabindex", "class"],
  a: ["href", "target", "rel"],
  ...Object.fromEntries(["ul", "blockquote", "table"].map((tag) => [tag, ["dir"]])),
  ol: ["dir", "start"],
  li: ["class"],
  input: ["type", "checked", "disabled", "aria-label"],
  th: ["class"],
  td: ["class"],
  ...Object.fromEntries(
    ["h3", "h4", "h5", "h6", "p", "code", "hr", "br", "strong", "em", "del", "thead", "tbody", "tr"].map((tag) => [tag, []]),
  ),
  ...Object.fromEntries(
    "math mrow mi mn mo mtext mspace mpadded mfrac msup msub msubsup mover munder munderover mtable mtr mtd"
      .split(" ")
      .map((tag) => [tag, mathAttributes]),
  ),
};

const piece = fc.constantFrom(
  ...'# ,> ,- ,1. ,```,`,**,*,~~,|,\n,\n\n,[x](,![y](,),<script>,</script>,<img onerror=x>,javascript:,https://a.b,&lt;,&#x3c;,- [x] ,| a | b |\n|---|:-:|\n,    , ,word,\\,",$,$$,\\[,\\],\\(,\\),\\frac{a}{b},x_1'.split(
    ",",
  ),
);
const pieces = fc.array(fc.oneof(piece, fc.string()), { maxLength: 30 });

test("whatever a model writes, only these elements with these attributes come of it", () => {
  fc.assert(
    fc.property(pieces, (written) => {
      for (const { tag, props } of elementsOf(drawMarkdown(written.join("")))) {
        expect(Object.keys(allowed)).toContain(tag);
        const set = Object.keys(props).filter((name) => props[name] !== undefined);
        expect(allowed[tag]).toEqual(expect.arrayContaining(set));
        if (tag === "a") expect(props["href"]).toMatch(/^(https?|mailto):/i);
      }
    }),
    { numRuns: 500 },
  );
});

test("names the language of an answer that needs it for its fonts", () => {
  expect(["**注意**", "**이 그림**", "*word*"].map((text) => elementsOf(drawMarkdown(text))[0]?.props["lang"])).toEqual([
    "zh-Hans",
    "ko",
    undefined,
  ]);
});

test.each([
  ["a heading is below those of the page", "# Title", ["div", "h3"]],
  ["lists", "- a\n- b", ["div", "ul", "li", "li"]],
  ["numbered lists", "3. a", ["div", "ol", "li"]],
  ["code", "```js\nlet a = 1 < 2;\n```", ["div", "div", "div", "span", "pre", "code"]],
  ["tables", "| a |\n|---|\n| b |", ["div", "div", "table", "thead", "tr", "th", "tbody", "tr", "td"]],
  ["a single line end is one", "a\nb", ["div", "p", "br"]],
])("%s", (_, text, tags) => {
  expect(elementsOf(drawMarkdown(text)).map(({ tag }) => tag)).toEqual(tags);
});

describe("formulas", () => {
  const formulasIn = (text: string) =>
    elementsOf(drawMarkdown(text)).flatMap((found) =>
      found.tag === "math" ? [`${found.props["display"] === "block" ? "block" : "inline"} ${textOf([found])}`] : [],
    );

  test.each([
    ["It is $a_1 * b_1$, not \\(c * d\\).", ["inline a1∗b1", "inline c∗d"]],
    ["函数$f(x)$的值", ["inline f(x)"]],
    ["**Area $a*b$:** 1", ["inline a∗b"]],
    ["Text:\n\\[\n  x\n+ y\n\\],\nmore", ["block x+y,"]],
    ["$$x$$\n\n1. one \\[ y \\] two\n2. $$z$$", ["block x", "block y", "block z"]],
    ["> \\[ x\n> = y \\]", ["block x=y"]],
    ["\\begin{align*}\na &= b \\\\\n&= c\n\\end{align*}", ["block a=b=c"]],
    ["| $a$ |\n|---|\n| \\(b\\) |", ["inline a", "inline b"]],
  ])("%j", (text, expected) => {
    expect(formulasIn(text)).toEqual(expected);
  });

  test.each([
    "It costs $5 and $10, US$5 or A$6, $5–$10 or $ 5 $.",
    "\\$x$ and $HOME/$USER",
    "\\\\(x\\\\)",
    "`$x$`",
    "```\n$$x$$\n```",
    "\\[ x\n\ny \\]",
    `$${"x".repeat(1001)}$`,
  ])("are not in %j", (text) => {
    expect(formulasIn(text)).toEqual([]);
  });

  test.each([
    ["that the page cannot read", "\\[ \\mystery{x}\n\\]", "pre"],
    ["within a line that the page cannot read", "$\\mystery{x}$", "code"],
    ["without an end, as in an answer that is being written", "\\[\n- \\frac{a}{", "pre"],
  ])("%s stay as they were written", (_, text, tag) => {
    expect(
      elementsOf(drawMarkdown(text))
        .filter((found) => found.tag === tag)
        .map((found) => textOf([found])),
    ).toEqual([text]);
  });
});

/** Elements within the paragraph, as `<tag>text</tag>`. */
function spell(nodes: readonly (Drawn | string)[]): string {
  return nodes.map((node) => (typeof node === "string" ? node : `<${node.tag}>${spell(node.children)}</${node.tag}>`)).join("");
}

const spellParagraph = (text: string) => spell(elementsOf(drawMarkdown(text)).find(({ tag }) => tag === "p")!.children);

describe("emphasis needs no spaces around it in Chinese, Japanese and Korean", () => {
  test.each([
    ["**注意：**请先备份。", "<strong>注意：</strong>请先备份。"],
    ["这是**“重点”**内容", "这是<strong>“重点”</strong>内容"],
    ["**第一步：**打开**“设置”**，点击**“确定”**。", "<strong>第一步：</strong>打开<strong>“设置”</strong>，点击<strong>“确定”</strong>。"],
    ["该**（括号）**后", "该<strong>（括号）</strong>后"],
    ["**重点(note)**内容", "<strong>重点(note)</strong>内容"],
    ["占**100%**的价格为**$5**元", "占<strong>100%</strong>的价格为<strong>$5</strong>元"],
    ["使用**`code`**命令", "使用<strong><code>code</code></strong>命令"],
    [String.raw`是**\*星\***吗`, "是<strong>*星*</strong>吗"],
    ["**見出し：**本文**「日本語」**です", "<strong>見出し：</strong>本文<strong>「日本語」</strong>です"],
    ["**한국어(korean)**는", "<strong>한국어(korean)</strong>는"],
    ["𠮷**（“𠮷”）**𠮷", "𠮷<strong>（“𠮷”）</strong>𠮷"],
    ["*注意：*请，~~“旧”~~新", "<em>注意：</em>请，<del>“旧”</del>新"],
    ["***“粗斜”***后", "<em><strong>“粗斜”</strong></em>后"],
    ["是**“未完", "是**“未完"],
    ["计算 2 * 3，再** 4", "计算 2 * 3，再** 4"],
  ])("%s", (text, shown) => {
    expect(spellParagraph(text)).toBe(shown);
  });

  test("and follows CommonMark where there are none of their characters", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("a", " ", "*", "**", "_", "~~", "“", ".", "(", "é", "😀", "\\", "`", "\n"), { maxLength: 20 }),
        (parts) => {
          const text = parts.join("");

          expect(parseMarkdown(text).blocks).toEqual([...lexer(text, { gfm: true, breaks: true })]);
        },
      ),
      { numRuns: 500 },
    );
  });
});

test.each([
  ["请看https://example.com/a。谢谢", "https://example.com/a"],
  ["见（https://example.com/路径）吧", "https://example.com/路径"],
  ["访问 www.example.com，然后", "http://www.example.com"],
  ["打开http://localhost:8000查看", "http://localhost:8000"],
  ["打开https://example.com查看", "https://example.com"],
  ["他写的“https://example.com/b”", "https://example.com/b"],
  ["https://zh.wikipedia.org/wiki/北京 是首都", "https://zh.wikipedia.org/wiki/北京"],
])("a bare address ends where its sentence goes on: %s", (text, address) => {
  expect(elementsOf(drawMarkdown(text)).find(({ tag }) => tag === "a")?.props["href"]).toBe(address);
});

test("long code is drawn in parts, of which only the last changes when it grows", () => {
  const partsOf = (lineCount: number) => {
    const code = elementsOf(drawMarkdown(`\`\`\`js\n${"let a;\n\n".repeat(lineCount / 2)}`)).find(({ tag }) => tag === "code")!;
    return code.children.map((part) => textOf([part]));
  };

  expect(partsOf(50)).toHaveLength(1);
  expect(partsOf(250)).toHaveLength(3);
  expect(partsOf(250).slice(0, 2)).toEqual(partsOf(290).slice(0, 2));
  expect(partsOf(250).join("")).toBe("let a;\n\n".repeat(125));
});

describe("an answer that nests without end, as of a model that repeats itself, stays text", () => {
  test.each([
    ["quotes", ">".repeat(3000)],
    ["quotes with spaces", "> ".repeat(3000)],
    ["lists", "- ".repeat(3000)],
    ["numbered lists", "1. ".repeat(3000)],
    ["lists on lines of their own", Array.from({ length: 200 }, (_, depth) => `${"  ".repeat(depth)}- a`).join("\n")],
    ["emphasis", `${"**".repeat(2000)}a${"**".repeat(2000)}`],
  ])("%s", (_, text) => {
    const drawn = drawMarkdown(`${text} the end`);

    expect(textOf(drawn)).toContain("the end");
    expect(depthOf(drawn)).toBeLessThan(120);
  });
});

test("blanks without end, as of a model that pads a table, are few", () => {
  expect(textOf(drawMarkdown(`| a |\n|---|\n| b${" ".repeat(50_000)}c |`)).length).toBeLessThan(1000);
});

describe("a text that grows", () => {
  const grow = (lengths: readonly number[], text: string) =>
    lengths.reduce<ParsedMarkdown[]>((parsed, length) => [...parsed, parseMarkdown(text.slice(0, length), parsed.at(-1))], []);

  test.each([
    ["paragraphs and headings", "One *word*\nor two.\n\nTitle\n===\n\nA line\n- and a list\n\n# Another\nend"],
    ["lists with blank lines", "1. a\n\n2. b\n\n   more of b\n\n10. c\n\nText.\n\n- a\n  - b\n\n  - c\n\n* d\n\n- [x] e"],
    ["code", "Before:\n```js\nlet a;\n\n    b\n```\nAfter.\n\n    indented\n\n    code\n~~~\nno end\n\nof it"],
    ["tables", "Before\n| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | 4 |\n\nAfter | it\n--|--\n5 | 6\n\n7"],
    [
      "formulas",
      "Is $a$ or \\(b\\)?\n\\[\n- c\n\n\\[\n- d\n# e\n= f\n+ g\n\\].\nSo\n$$\nh$$\n\n- \\begin{align}\n  i\n  \\end{align}\n\n\\[ open\n- j\n\n+ k",
    ],
    ["Chinese", "**注意：**请看**“设置”**，\n见https://a.org/b。~~“旧”~~\n\n- *甲：*乙"],
    ["quotes, rules and HTML", "> a\nb\n\n> c\n\n---\n\n<div>\nd\n\n</div>\n\n<!-- e\n\nf -->\n\n***\ng"],
    ["strange line ends and blanks", `a\r\n\r\nb\r\rc${" ".repeat(300)}d\r\n\r\n- e`],
  ])("is at each length what it would be at once: %s", (_, text) => {
    const lengths = [...text].map((_, index) => index + 1);

    expect(grow(lengths, text)).toEqual(lengths.map((length) => parseMarkdown(text.slice(0, length))));
  });

  const row = "| a | *b* |\n";
  const [header, manyRows] = [`| one | two |\n|---|:-:|\n`, row.repeat(30)];
  const items = (marker: string, end = "\n") => `${marker} some *words*${end}`.repeat(30);
  const long = fc.constantFrom(
    header + manyRows,
    items("-"),
    items("1."),
    items("*", "\n\n"),
    items("2)", "\n\n"),
    items("- [x]"),
    items("-", "\n  - more\n"),
  );
  const after = fc.array(
    fc.oneof(
      piece,
      fc.constantFrom(row, "- c\n", "1. d\n", "- [ ] e\n\n", "  more\n", "  - less\n", "---\n", "===\n", "-", "2", ". f\n", "> g\n"),
    ),
    { maxLength: 20 },
  );

  test("is at each length what it would be at once, however long its lists and tables are", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("", "# Title\n", "Words:\n\n", "Words:\n", "- a\n\n"),
        long,
        after,
        after,
        (before, entries, between, end) => {
          const start = before + entries;
          const text = [start, ...between, entries, ...end].join("");
          fc.pre(!text.includes("]:"));
          const lengths = [...between, entries, ...end].reduce((ends, part) => [...ends, ends.at(-1)! + part.length], [start.length]);

          expect(grow(lengths, text)).toEqual(lengths.map((length) => parseMarkdown(text.slice(0, length))));
        },
      ),
      { numRuns: 100 },
    );
  });

  test.each([
    ["table", header + manyRows, row],
    ["list", items("-"), "- more\n"],
    ["loose list", `Words:\n\n${items("1.", "\n\n")}`, "1. more\n\n"],
  ])("keeps the entries of a long %s that cannot change", (_, text, entry) => {
    const [before, now] = grow([text.length, text.length + entry.length], text + entry).map(
      ({ blocks }) => blocks!.findLast(({ type }) => type !== "space") as MarkedToken,
    );
    const entriesOf = (block: MarkedToken | undefined) =>
      block?.type === "table" ? block.rows : block?.type === "list" ? block.items : [];

    expect(entriesOf(now)).toHaveLength(31);
    expect(entriesOf(now).filter((one, index) => one === entriesOf(before)[index])).toHaveLength(28);
  });

  test("keeps the blocks that cannot change, and begins anew where it is another text", () => {
    const [before, after] = grow([25, 30], "One.\n\nTwo.\n\nThree.\n\nFour.\n\nFive.");
    expect(after!.blocks![0]).toBe(before!.blocks![0]);

    expect(parseMarkdown("Another one.\n\nTwo.", after)).toEqual(parseMarkdown("Another one.\n\nTwo."));
  });

  test("is at each length what it would be at once, whatever a model writes", () => {
    fc.assert(
      fc.property(pieces, (written) => {
        const text = written.join("");
        fc.pre(!text.includes("]:")); // a link's definition may come after its use
        const lengths = written.map((_, index) => written.slice(0, index + 1).join("").length);

        expect(grow(lengths, text)).toEqual(lengths.map((length) => parseMarkdown(text.slice(0, length))));
      }),
      { numRuns: 500 },
    );
  });
});

test.each([
  ["&lt;b&gt; &amp;amp; &#60; &#x3C; &copy;", "<b> &amp; < < &copy;"],
  ["`&lt;`", "&lt;"],
  ["1 < 2 && 3 > 2", "1 < 2 && 3 > 2"],
])("entities: %s", (text, shown) => {
  expect(textOf(drawMarkdown(text))).toBe(shown);
});
