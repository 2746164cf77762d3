// A Jinja chat template: conversation → prompt segments that keep the template's words apart from the client's.

import { Template } from "@huggingface/jinja";
import type { Chat, ChatMessage, ContentPart } from "../core/chat.ts";
import { RequestError, UserError } from "../core/errors.ts";
import type { ChatFormat } from "./built-in-templates.ts";
import { MarkedTexts, type PromptSegment } from "./marked-texts.ts";
import { readTemplateSource, type TemplateSource } from "./template-source.ts";

type Role = ChatMessage["role"];
type TemplatePart = { readonly type: string; readonly text?: string };
type TemplateMessage = { readonly role: Role; readonly content: string | readonly TemplatePart[]; readonly reasoning_content?: string };
/** What the template understands as content without pictures; undefined: it has no place for the role. */
type TextFormat = "string" | "parts" | undefined;

/** The template of a model folder; `format` says which one to use where there is none. Throws UserError. */
export function loadTemplate(folder: string, format?: ChatFormat): ChatTemplate {
  return new ChatTemplate(readTemplateSource(folder, format));
}

export class ChatTemplate {
  readonly #template: Template;
  readonly #source: TemplateSource;
  readonly #textFormats: Record<Role, TextFormat>;
  readonly #imageType: string | undefined;

  /** Tries out how the template wants its contents. Throws UserError when it shows no user text at all. */
  constructor(source: TemplateSource) {
    this.#source = source;
    try {
      this.#template = new Template(source.jinja);
    } catch (error) {
      throw new UserError(`${source.path}: the chat template is not valid Jinja: ${(error as Error).message}`, { cause: error });
    }
    const user = this.#findTextFormat((content) => [{ role: "user", content }]);
    if (user === undefined) throw this.#unusable();
    const hello: TemplateMessage = { role: "user", content: user === "string" ? "Hello" : [{ type: "text", text: "Hello" }] };
    this.#textFormats = {
      user,
      system: this.#findTextFormat((content) => [{ role: "system", content }, hello]),
      assistant: this.#findTextFormat((content) => [hello, { role: "assistant", content }, hello]),
    };
    this.#imageType = ["image", "image_url"].find((type) => this.#showsImage(type));
  }

  /** Throws RequestError when the template has no place for something in the conversation. */
  render(chat: Chat): PromptSegment[] {
    const texts = new MarkedTexts();
    const messages = chat.messages.map((message, index) => this.#toTemplateMessage(message, texts, `messages[${index}]`));
    let rendered: string;
    try {
      rendered = this.#run(messages, chat.thinking);
    } catch (error) {
      const message = `the chat template of this model refuses the conversation: ${(error as Error).message}`;
      throw new RequestError(message, { code: "invalid_messages", param: "messages", cause: error });
    }
    const segments = texts.split(rendered);
    const wanted = chat.messages.flatMap(({ content }) => content.filter((part) => part.type === "image")).length;
    const shown = segments.filter((segment) => segment.type === "image").length;
    if (shown === wanted) return segments;
    const message = `the chat template of this model has places for ${shown} of the ${wanted} images; send them in user messages`;
    throw new RequestError(message, { code: "invalid_messages", param: "messages" });
  }

  #toTemplateMessage(message: ChatMessage, texts: MarkedTexts, param: string): TemplateMessage {
    const { role } = message;
    const { content, reasoning } = splitReasoning(message);
    const format = this.#textFormats[role];
    if (format === undefined) {
      throw new RequestError(`the chat template of this model has no place for ${role} messages`, { code: "invalid_messages", param });
    }
    return {
      role,
      content: this.#toTemplateContent(content, format, texts),
      ...(reasoning !== undefined && { reasoning_content: texts.mark(reasoning) }),
    };
  }

  #toTemplateContent(content: readonly ContentPart[], format: TextFormat, texts: MarkedTexts): TemplateMessage["content"] {
    const textParts = content.filter((part) => part.type === "text");
    if (format === "string" && textParts.length === content.length) return texts.mark(textParts.map(({ text }) => text).join(""));
    return content.map((part) => (part.type === "text" ? { type: "text", text: texts.mark(part.text) } : this.#imagePart(part.param)));
  }

  #imagePart(param: string): TemplatePart {
    if (this.#imageType !== undefined) return { type: this.#imageType };
    throw new RequestError("the chat template of this model has no place for images", { code: "invalid_messages", param });
  }

  #findTextFormat(conversation: (content: TemplateMessage["content"]) => TemplateMessage[]): TextFormat {
    const texts = new MarkedTexts();
    const probe = texts.mark("Hello");
    const isShown = (content: TemplateMessage["content"]) => {
      const { text } = this.#tryOut(conversation(content));
      const isPrintedRaw = /["']type["']/.test(text); // a list of parts where the template expects a string
      return !isPrintedRaw && texts.split(text).some((segment) => segment.type === "text");
    };
    if (isShown(probe)) return "string";
    return isShown([{ type: "text", text: probe }]) ? "parts" : undefined;
  }

  #showsImage(type: string): boolean {
    const { text } = this.#tryOut([{ role: "user", content: [{ type }, { type: "text", text: "Hello" }] }]);
    return new MarkedTexts().split(text).some((segment) => segment.type === "image");
  }

  #unusable(): UserError {
    const { problem = "it leaves the text out" } = this.#tryOut([{ role: "user", content: "Hello" }]);
    return new UserError(`${this.#source.path}: the chat template cannot show a user message: ${problem}`);
  }

  #tryOut(messages: readonly TemplateMessage[]): { readonly text: string; readonly problem?: string } {
    try {
      return { text: this.#run(messages, false) };
    } catch (error) {
      return { text: "", problem: (error as Error).message };
    }
  }

  /** The template sees these variables and no others: nothing a client sends can name one. */
  #run(messages: readonly TemplateMessage[], thinking: boolean): string {
    return this.#template.render({
      messages,
      add_generation_prompt: true,
      enable_thinking: thinking,
      options: { thinking_mode: thinking ? "open" : "close" }, // the switch of ERNIE-4.5-VL-Thinking (model spec, 6.3)
      bos_token: this.#source.bosToken,
      eos_token: this.#source.eosToken,
    });
  }
}

/**
 * Some clients send an earlier answer back as `<think>…</think>answer`. Templates look for that in the content, which they
 * cannot see here, so it is cut beforehand. Only at the start: an answer that merely mentions the tags stays whole.
 */
function splitReasoning({ role, content, reasoning }: ChatMessage): Pick<ChatMessage, "content" | "reasoning"> {
  const [first, ...rest] = content;
  if (role !== "assistant" || reasoning !== undefined || first?.type !== "text")
    return { content, ...(reasoning !== undefined && { reasoning }) };
  const match = /^\s*<think>(.*?)<\/think>\n*(.*)$/s.exec(first.text);
  if (!match) return { content };
  return { content: [{ type: "text", text: match[2]! }, ...rest], reasoning: match[1]! };
}
