// Keeps message texts out of the template: it sees a marker for each, and its output is cut at the markers afterwards.

import { randomInt } from "node:crypto";

export type PromptSegment =
  /** Written by the template: control tokens in it are meant. */
  | { readonly type: "control"; readonly text: string }
  /** Written by a client: never a control token. */
  | { readonly type: "text"; readonly text: string }
  /** The place of the next picture or video, in the order of the conversation. */
  | { readonly type: "image" | "video" };

/**
 * Markers of all prompts, since compiling a pattern for each takes as long as its rendering, and the placeholders of pictures and videos in
 * templates: transformers' token, and the one of Baidu's own template.
 */
const stops = /\[(\d+):(\d+)(\\+)(·|u00b7)\]|<\|(IMAGE_PLACEHOLDER|image@placeholder|VIDEO_PLACEHOLDER|video@placeholder)\|>/g;

export class MarkedTexts {
  // Only digits and punctuation, so that no template filter (upper, escape, …) changes a marker except `tojson`, which should.
  readonly #nonce = `${randomInt(2 ** 46, 2 ** 47)}`;
  readonly #texts: string[] = [];

  /**
   * A marker that stands for the text in the template. White space around the text and empty texts are not marked, because templates strip contents
   * and test whether they are empty. (Control tokens do not consist of white space.)
   */
  mark(text: string): string {
    const body = text.trim();
    if (body === "") return text;
    const start = text.length - text.trimStart().length;
    // How JSON escapes the backslash and the non-ASCII character shows how the text itself must be escaped.
    const marker = `[${this.#nonce}:${this.#texts.push(body) - 1}\\·]`;
    return text.slice(0, start) + marker + text.slice(start + body.length);
  }

  /** Splits rendered text into the template's text, the clients' texts, and the places of pictures and videos. */
  split(rendered: string): PromptSegment[] {
    const segments: PromptSegment[] = [];
    let end = 0;
    const addControl = (text: string) => {
      if (text !== "") segments.push({ type: "control", text });
    };
    for (const match of rendered.matchAll(stops)) {
      const [whole, nonce, index, backslashes, sign, placeholder] = match;
      if (nonce !== undefined && nonce !== this.#nonce) continue; // another's
      addControl(rendered.slice(end, match.index));
      segments.push(
        index === undefined
          ? { type: placeholder!.toLowerCase().startsWith("image") ? "image" : "video" }
          : { type: "text", text: escapeLike(this.#texts[Number(index)]!, backslashes!.length, sign === "·") },
      );
      end = match.index + whole.length;
    }
    addControl(rendered.slice(end));
    return segments;
  }
}

/**
 * Escapes the text for nested JSON strings. Each level doubles the marker's backslash: 1, 2, 4, 8 …; if the first level also escapes non-ASCII
 * characters, the `·` adds one: 1, 3, 6, 12 …
 */
function escapeLike(text: string, backslashCount: number, keepsUnicode: boolean): string {
  const levelCount = Math.round(Math.log2(keepsUnicode ? backslashCount : (backslashCount / 3) * 2));
  let escaped = text;
  for (let level = 0; level < levelCount; level++) {
    escaped = JSON.stringify(escaped).slice(1, -1);
    if (!keepsUnicode) escaped = escaped.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }
  return escaped;
}
