// A formula of an answer as MathML, or its source if the page cannot read it.

import { createElement, type VNode } from "preact";
import { type MathElement, readTex } from "../chat/tex.ts";
import type { FormulaToken } from "./formula-markdown.ts";

/** Only longer ones may have to be scrolled, by the keyboard, too. (MathML knows no attribute `tabIndex`.) */
const shortLength = 60;

export function Formula({ token: { raw, tex, isBlock, end } }: { readonly token: FormulaToken }): VNode {
  const math = tex === undefined ? undefined : readTex(end === "" ? tex : `${tex}\\text{${end}}`, isBlock);
  const focusable = isBlock && raw.length > shortLength ? { tabindex: 0 } : {};
  if (math && isBlock) {
    return (
      <span class="formula" {...focusable}>
        {draw(math)}
      </span>
    );
  }
  if (math) return draw(math);
  if (!isBlock) return <code>{raw}</code>;
  return (
    <pre class="formula-source" {...focusable}>
      {raw.trim()}
    </pre>
  );
}

function draw({ tag, attributes, style, children }: MathElement): VNode {
  const drawn = children.map((child) => (typeof child === "string" ? child : draw(child)));
  const props: Record<string, unknown> = { ...attributes, style };
  return createElement(tag, props, ...drawn);
}
