// Keeps message texts out of the template: it sees a marker for each, and its output is cut at the markers afterwards.

import { randomInt } from "node:crypto";

export type PromptSegment =
  /** Written by the template: control tokens in it are meant. */
  | { readonly type: "control"; readonly text: string }
  /** Written by a client: never a control token. */
  | { readonly type: "text"; readonly text: string }
  /** The place of the picture with this number, in the order of the conversation. */
  | { readonly type: "image"; readonly index: number };

/** How templates write the place of a picture: transformers' token, and the word of Baidu's own template. */
const imagePlaceholders = ["<|IMAGE_PLACEHOLDER|>", "<|image@placeholder|>"];

export class MarkedTexts {
  // Digits and signs only, so that no filter of a template (upper, tojson, escape …) changes a marker.
  readonly #nonce = `${randomInt(2 ** 46, 2 ** 47)}`;
  readonly #texts: string[] = [];

  /**
   * The text as the template may see it. White space around it stays in the open, and so does an empty text: templates strip
   * contents and ask whether they are empty. (Control tokens are not made of white space.)
   */
  mark(text: string): string {
    const body = text.trim();
    if (body === "") return text;
    const start = text.length - text.trimStart().length;
    const marker = `[${this.#nonce}:${this.#texts.push(body) - 1}]`;
    return text.slice(0, start) + marker + text.slice(start + body.length);
  }

  /** Cuts rendered text into what the template wrote, what clients wrote, and places of pictures. */
  split(rendered: string): PromptSegment[] {
    const stops = new RegExp(`\\[${this.#nonce}:(\\d+)\\]|${imagePlaceholders.map((word) => word.replaceAll("|", "\\|")).join("|")}`, "g");
    const segments: PromptSegment[] = [];
    let end = 0;
    let imageCount = 0;
    const addControl = (text: string) => {
      if (text !== "") segments.push({ type: "control", text });
    };
    for (const match of rendered.matchAll(stops)) {
      addControl(rendered.slice(end, match.index));
      const marked = match[1] === undefined ? undefined : this.#texts[Number(match[1])]!;
      segments.push(marked === undefined ? { type: "image", index: imageCount++ } : { type: "text", text: marked });
      end = match.index + match[0].length;
    }
    addControl(rendered.slice(end));
    return segments;
  }
}
