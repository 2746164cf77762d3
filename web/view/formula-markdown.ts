// Formulas in Markdown: $…$ and \(…\) within a line, $$…$$, \[…\] and \begin{align}…\end{align} apart from it. Without these rules, Markdown would
// take their backslashes and underscores for its own.

import type { MarkedOptions } from "marked";

export type FormulaToken = {
  readonly type: "formula";
  readonly raw: string;
  /** The TeX between the delimiters; undefined if the second one is missing, as in an answer that is being written. */
  readonly tex: string | undefined;
  /** On lines of its own. */
  readonly isBlock: boolean;
  /** Punctuation that follows a block. */
  readonly end: string;
};

/** A formula has no empty line. Longer ones, which no model writes, would take long to find. */
const inside = String.raw`(?:(?!\n[ \t]*\n|DELIMITER)[^]){1,4000}?`;

function between(open: string, close: string, delimiter: string): string {
  return `${open}(${inside.replace("DELIMITER", delimiter)})${close}`;
}

const dollars = between(String.raw`\$\$`, String.raw`\$\$`, String.raw`\$\$`);
const brackets = between(String.raw`\\\[`, String.raw`\\\]`, String.raw`\\[[\]]`);
const environment = String.raw`\\begin\{(?:align|equation|gather)\*?\}`;
const environments = `(${environment}${inside.replace("DELIMITER", environment)}${environment.replace("begin", "end")})`;
const unclosed = String.raw`(?:\$\$|\\\[|${environment})${inside.replace("DELIMITER", String.raw`\$\$|\\[[\]]|${environment}`)}$`;

const block = new RegExp(`^ {0,3}(?:(?:${dollars}|${brackets}|${environments})(?:[ \\t]*([.,;。，；])?[ \\t]*(?:\\n+|$))?|${unclosed})`);
const blockStart = new RegExp(String.raw`\n {0,3}(?:\$\$|\\\[|${environment})`);

/** A dollar is a currency's if a space follows the one or precedes the other, or a letter or digit precedes the one or follows the other. */
const withinLine = new RegExp(
  `^(?:${dollars}|${brackets}|${between(String.raw`\\\(`, String.raw`\\\)`, String.raw`\\[()]`)}|` +
    String.raw`\$(?!\s)((?:\\[^\n]|[^$\\\n]){1,1000})(?<!\s)\$(?![\w$]))`,
);
const startWithinLine = /\$|\\[([]/;

/** How far to look for the start of a formula: marked asks anew for each paragraph and each piece of a line. */
const [blockWithin, startWithin] = [2000, 500];

/** Options of marked. */
export function formulaOptions(): Pick<MarkedOptions, "extensions"> {
  const readBlock = (source: string) => {
    const match = block.exec(source);
    if (!match) return undefined;
    const [raw, dollars, brackets, environment, end = ""] = match;
    return { type: "formula", raw, tex: dollars ?? brackets ?? environment, isBlock: true, end } satisfies FormulaToken;
  };
  const readWithinLine = (source: string, before: readonly { readonly raw: string }[]) => {
    const match = withinLine.exec(source);
    if (!match) return undefined;
    const [raw, dollars, brackets, parentheses, dollar] = match;
    if (dollar !== undefined && /[\w$]$/.test(before.at(-1)?.raw ?? "")) return undefined;
    const isBlock = (dollars ?? brackets) !== undefined;
    return { type: "formula", raw, tex: dollars ?? brackets ?? parentheses ?? dollar, isBlock, end: "" } satisfies FormulaToken;
  };
  const findWithinLine = (source: string) => {
    const at = source.slice(0, startWithin).search(startWithinLine);
    return at < 0 && source.length > startWithin ? startWithin : at;
  };
  return {
    extensions: {
      block: [readBlock],
      inline: [readWithinLine],
      startBlock: [(source) => source.slice(0, blockWithin).search(blockStart)],
      startInline: [findWithinLine],
      childTokens: {},
      renderers: {},
    },
  };
}
