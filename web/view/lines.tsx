// Draws a text of many lines in parts, so that the browser lays out only the last part when the text grows.

import type { ComponentChildren } from "preact";

const lineCount = 100;
const parts = new RegExp(String.raw`(?:.*\n){${lineCount}}|[^]+`, "g");

/** For elements that keep white space; `.lines` is a block. */
export function Lines({ text }: { readonly text: string }): ComponentChildren {
  const drawn = text.match(parts) ?? [];
  if (drawn.length < 2) return text;
  return drawn.map((part, index) => (
    <span key={index} class="lines">
      {part}
    </span>
  ));
}
