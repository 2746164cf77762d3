// Finds out by experiment which input a chat template expects for contents, pictures, tools and calls. Templates differ and do not declare it.

import type { ChatMessage } from "../core/chat.ts";
import { MarkedTexts } from "./marked-texts.ts";
import { type ArgumentsFormat, type TemplateCall, type TemplateTool, toTemplateTool } from "./template-tools.ts";

type Role = ChatMessage["role"];

export type TemplatePart = { readonly type: string; readonly text?: string };

export type TemplateMessage = {
  readonly role: Role;
  readonly content: string | readonly TemplatePart[];
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly TemplateCall[];
  readonly tool_call_id?: string;
};

export type TemplateInput = {
  readonly messages: readonly TemplateMessage[];
  /** Undefined: the template gets no such variable. */
  readonly thinking: boolean | undefined;
  readonly tools?: readonly TemplateTool[] | undefined;
};

/** How the template takes content without pictures; undefined: it does not show messages of the role. */
export type TextFormat = "string" | "parts" | undefined;

export type TemplateTraits = {
  readonly textFormats: Readonly<Record<Role, TextFormat>>;
  /** The `type` of a part that is a picture or a video; undefined: the template does not show them. */
  readonly imageType: string | undefined;
  readonly videoType: string | undefined;
  readonly showsTools: boolean;
  /** Undefined: the template does not show the calls of earlier answers. */
  readonly argumentsFormat: ArgumentsFormat | undefined;
  /** Whether the prompt ends in thinking if the template is not told whether to think. */
  readonly thinksByDefault: boolean;
};

/** Undefined if the template does not show the text of a plain user message. If it throws on one, so does this. */
export function findTraits(run: (input: TemplateInput) => string): TemplateTraits | undefined {
  const probe = new Probe(run);
  const user = probe.textFormat((content) => [{ role: "user", content }]);
  if (user === undefined) {
    run({ messages: [{ role: "user", content: "Hello" }], thinking: false });
    return undefined;
  }
  const hello: TemplateMessage = { role: "user", content: inFormat("Hello", user) };
  const assistant = probe.textFormat((content) => [hello, { role: "assistant", content }, hello]);
  const toCall = (content: TemplateMessage["content"], name: string, args: unknown): TemplateMessage => {
    const call = { id: "call", type: "function", function: { name, arguments: args } } as const;
    return { role: "assistant", content, tool_calls: [call] };
  };
  const empty = inFormat("", assistant);
  const argumentsFormat = probe.argumentsFormat((args) => [hello, toCall(empty, "f", args), hello]);
  const emptyArguments = argumentsFormat === "text" ? "{}" : {};
  return {
    textFormats: {
      user,
      system: probe.textFormat((content) => [{ role: "system", content }, hello]),
      assistant,
      tool: probe.textFormat((content) => [hello, toCall(empty, "f", emptyArguments), { role: "tool", content, tool_call_id: "call" }]),
    },
    imageType: ["image", "image_url"].find((type) => probe.shows("image", type)),
    videoType: ["video", "video_url"].find((type) => probe.shows("video", type)),
    showsTools: probe.showsTools(hello),
    argumentsFormat,
    thinksByDefault: probe.thinksByDefault(hello),
  };
}

class Probe {
  readonly #run: (input: TemplateInput) => string;

  constructor(run: (input: TemplateInput) => string) {
    this.#run = run;
  }

  textFormat(conversation: (content: TemplateMessage["content"]) => TemplateMessage[]): TextFormat {
    const texts = new MarkedTexts();
    const probe = texts.mark("Hello");
    const isShown = (content: TemplateMessage["content"]) => {
      const text = this.#tryOut({ messages: conversation(content) });
      const isPrintedRaw = /["']type["']/.test(text); // a list of parts, printed by a template that expects a string
      return !isPrintedRaw && texts.split(text).some((segment) => segment.type === "text");
    };
    if (isShown(probe)) return "string";
    return isShown([{ type: "text", text: probe }]) ? "parts" : undefined;
  }

  shows(visual: "image" | "video", type: string): boolean {
    const text = this.#tryOut({ messages: [{ role: "user", content: [{ type }, { type: "text", text: "Hello" }] }] });
    return new MarkedTexts().split(text).some((segment) => segment.type === visual);
  }

  showsTools(hello: TemplateMessage): boolean {
    const texts = new MarkedTexts();
    const parameters = { type: "object", properties: {} };
    const tool = toTemplateTool({ name: "f", description: "d", parameters }, texts);
    const segments = texts.split(this.#tryOut({ messages: [hello], tools: [tool] }));
    return segments.some((segment) => segment.type === "text" && segment.text === "f");
  }

  /** If a text comes out as a JSON string within JSON, the template expects an object. */
  argumentsFormat(conversation: (args: unknown) => TemplateMessage[]): ArgumentsFormat | undefined {
    const texts = new MarkedTexts();
    const quote = texts.mark('"');
    const shown = (args: unknown) => texts.split(this.#tryOut({ messages: conversation(args) })).find((segment) => segment.type === "text");
    if (shown(quote)?.text === '"') return "text";
    return shown({ a: quote })?.text === '\\"' ? "object" : undefined;
  }

  thinksByDefault(hello: TemplateMessage): boolean {
    return /<think>\s*$/.test(this.#tryOut({ messages: [hello], thinking: undefined }));
  }

  /** The prompt; empty if the template throws. */
  #tryOut(input: Omit<TemplateInput, "thinking"> & Partial<TemplateInput>): string {
    try {
      return this.#run({ thinking: false, ...input });
    } catch {
      return "";
    }
  }
}

function inFormat(text: string, format: TextFormat): TemplateMessage["content"] {
  return format === "parts" ? [{ type: "text", text }] : text;
}
