// Reads the TeX of a formula into a tree of MathML elements, by temml.

import temml, { type Options } from "temml";

export type MathElement = {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly style: Readonly<Record<string, string>>;
  readonly children: readonly (MathElement | string)[];
};

/** A node of temml's tree: an element, a text, or nodes in a row. It is not part of temml's interface; the tests notice if a version has another. */
type TemmlNode = {
  readonly type?: string;
  readonly text?: string;
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly classes?: readonly string[];
  readonly style?: Readonly<Record<string, unknown>>;
  readonly children?: readonly TemmlNode[];
};

/** Its types describe another form of the package. */
const { __renderToMathMLTree: toTree } = temml as unknown as {
  readonly __renderToMathMLTree: (tex: string, options: Options) => TemmlNode;
};

/** Deeper than any real formula; without it, a formula of many braces would overflow the stack as it is drawn. */
const deepest = 100;

/** The formula as a `math` element, or undefined if it has a mistake or a command that temml does not know. */
export function readTex(source: string, isBlock: boolean): MathElement | undefined {
  const formula = source.replaceAll(/(?<!\\)%/g, "\\%"); // models write percentages, not comments
  // Models write rows apart from an environment, too.
  for (const tex of [formula, `\\begin{aligned}${formula}\\end{aligned}`]) {
    try {
      const math = toElement(toTree(tex, { displayMode: isBlock, wrap: "tex", throwOnError: true }), 0);
      if (typeof math === "object") return math;
    } catch {
      // Temml throws errors of its own, and a RangeError where its stack overflows.
    }
  }
  return undefined;
}

function toElement(
  { type = "mrow", text, attributes, classes = [], style, children = [] }: TemmlNode,
  depth: number,
): MathElement | string {
  if (depth > deepest) throw new RangeError("the formula is too deep to be drawn");
  if (text !== undefined) return text;
  const isRow = (child: TemmlNode) => child.type === undefined && child.children !== undefined;
  // Browsers break lines between the parts of a formula.
  const parts = type === "math" ? children.flatMap((child) => (isRow(child) ? child.children! : child)) : children;
  const names = classes.filter((name) => name !== "").join(" ");
  return {
    tag: type,
    attributes: { ...texts(attributes), ...(names && { class: names }) },
    style: texts(style),
    children: parts.map((child) => toElement(child, depth + 1)),
  };
}

/** What is set: temml's values may also be undefined, empty or lists. */
function texts(values: Readonly<Record<string, unknown>> = {}): Record<string, string> {
  const isSet = (value: unknown) => (typeof value === "string" && value !== "") || typeof value === "number";
  return Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (isSet(value) ? [[name, String(value)]] : [])));
}
