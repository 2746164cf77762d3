// A Jinja chat template: conversation → prompt segments that keep the template's text apart from the client's.

import { Template } from "@huggingface/jinja";
import type { BegunAnswer, ImagePart, ShownChat, ShownMessage, ShownPart, ToolCall, VideoPart } from "../core/chat.ts";
import { RequestError, UserError } from "../core/errors.ts";
import { MarkedTexts, type PromptSegment } from "./marked-texts.ts";
import { rewriteStripCalls, stripFunctions } from "./strip-arguments.ts";
import { readTemplateSource, type TemplateSource } from "./template-source.ts";
import { type TemplateCall, toTemplateCall, toTemplateTool } from "./template-tools.ts";
import {
  findTraits,
  type TemplateInput,
  type TemplateMessage,
  type TemplatePart,
  type TemplateTraits,
  type TextFormat,
} from "./template-traits.ts";

/** The template of a model folder. Throws UserError. */
export function loadTemplate(folder: string): ChatTemplate {
  return new ChatTemplate(readTemplateSource(folder));
}

export class ChatTemplate {
  readonly #template: Template;
  readonly #source: TemplateSource;
  readonly #traits: TemplateTraits;

  /** Probes which input format the template expects. Throws UserError when it does not show user text at all. */
  constructor(source: TemplateSource) {
    this.#source = source;
    try {
      this.#template = new Template(source.jinja);
      rewriteStripCalls(this.#template.parsed);
    } catch (error) {
      throw new UserError(`${source.path}: the chat template is not valid Jinja: ${(error as Error).message}`, { cause: error });
    }
    this.#traits = this.#findTraits();
  }

  /** Whether the model's developers let it think where nobody chooses. */
  get thinksByDefault(): boolean {
    return this.#traits.thinksByDefault;
  }

  /** The prompt of a conversation, up to the start of the model's answer. Throws RequestError when the template does not support something in it. */
  render(chat: ShownChat): PromptSegment[] {
    const { toolUse } = chat;
    if (toolUse && !this.#traits.showsTools) throw noPlace("tools", "tools");
    const texts = new MarkedTexts();
    const messages = chat.messages.map((message, index) => this.#toTemplateMessage(message, texts, `messages[${index}]`));
    const tools = toolUse?.tools.map((tool) => toTemplateTool(tool, texts));
    let rendered: string;
    try {
      rendered = this.#run({ messages, thinking: chat.thinking, tools });
    } catch (error) {
      const message = `the chat template of this model rejects the conversation: ${(error as Error).message}`;
      throw new RequestError(message, { code: "invalid_messages", param: "messages", cause: error });
    }
    const segments = texts.split(rendered);
    const parts = chat.messages.flatMap(({ content }) => content);
    for (const type of ["image", "video"] as const) {
      const wanted = parts.filter((part) => part.type === type).length;
      const shown = segments.filter((segment) => segment.type === type).length;
      if (shown === wanted) continue;
      const message = `the chat template of this model shows ${shown} of the ${wanted} ${type}s; send them in user messages`;
      throw new RequestError(message, { code: "invalid_messages", param: "messages" });
    }
    return chat.begun ? [...segments, ...goOn(chat.begun, rendered)] : segments;
  }

  #toTemplateMessage(message: ShownMessage, texts: MarkedTexts, param: string): TemplateMessage {
    const { role, toolCalls = [], toolCallId } = message;
    const { content, reasoning } = splitReasoning(message);
    const format = this.#traits.textFormats[role];
    if (format === undefined) throw noPlace(`${role} messages`, param);
    return {
      role,
      content: this.#toTemplateContent(content, format, texts),
      ...(reasoning !== undefined && { reasoning_content: texts.mark(reasoning) }),
      ...(toolCalls.length > 0 && { tool_calls: this.#toTemplateCalls(toolCalls, texts, `${param}.tool_calls`) }),
      ...(toolCallId !== undefined && { tool_call_id: texts.mark(toolCallId) }),
    };
  }

  #toTemplateCalls(calls: readonly ToolCall[], texts: MarkedTexts, param: string): TemplateCall[] {
    const { argumentsFormat } = this.#traits;
    if (argumentsFormat === undefined) throw noPlace("tool calls", param);
    return calls.map((call) => toTemplateCall(call, argumentsFormat, texts));
  }

  #toTemplateContent(content: readonly ShownPart[], format: TextFormat, texts: MarkedTexts): TemplateMessage["content"] {
    const textParts = content.filter((part) => part.type === "text");
    if (format === "string" && textParts.length === content.length) return texts.mark(textParts.map(({ text }) => text).join(""));
    return content.map((part) => (part.type === "text" ? { type: "text", text: texts.mark(part.text) } : this.#visualPart(part)));
  }

  #visualPart({ type: visual, param }: ImagePart | VideoPart): TemplatePart {
    const type = visual === "image" ? this.#traits.imageType : this.#traits.videoType;
    if (type === undefined) throw noPlace(`${visual}s`, param);
    return { type };
  }

  #findTraits(): TemplateTraits {
    let problem = "it leaves the text out";
    try {
      const traits = findTraits((input) => this.#run(input));
      if (traits) return traits;
    } catch (error) {
      problem = (error as Error).message;
    }
    throw new UserError(`${this.#source.path}: the chat template cannot show a user message: ${problem}`);
  }

  /** The template can name these variables and no others: no field of a request adds one. */
  #run({ messages, thinking, tools }: TemplateInput): string {
    return this.#template.render({
      ...stripFunctions,
      ...this.#source.tokens,
      messages,
      tools: tools ?? null,
      add_generation_prompt: true,
      ...(thinking !== undefined && {
        enable_thinking: thinking,
        options: { thinking_mode: thinking ? "open" : "close" }, // the switch of ERNIE-4.5-VL-Thinking (model spec, 6.3)
      }),
    });
  }
}

/** The end of thinking, as templates write it (model spec, 6.2 and 6.3). */
export const thinkingEnd = "\n</think>\n\n";

/** A begun answer, as the model would have written it after the prompt. */
function goOn({ reasoning, text }: BegunAnswer, prompt: string): PromptSegment[] {
  const segments: PromptSegment[] = [];
  if (reasoning !== undefined) {
    const opening = /<think>(\n*)$/.exec(prompt);
    if (!opening) throw noPlace("continuing an answer within its thinking", "messages");
    if (opening[1] === "") segments.push({ type: "control", text: "\n" });
    segments.push({ type: "text", text: text === undefined ? reasoning : withoutLastNewlines(reasoning) });
    if (text !== undefined) segments.push({ type: "control", text: thinkingEnd });
  }
  return text === undefined ? segments : [...segments, { type: "text", text }];
}

/** A regular expression would take quadratic time for many newlines before the end. */
function withoutLastNewlines(text: string): string {
  let end = text.length;
  while (text[end - 1] === "\n") end--;
  return text.slice(0, end);
}

function noPlace(what: string, param: string): RequestError {
  return new RequestError(`the chat template of this model does not support ${what}`, { code: "invalid_messages", param });
}

/**
 * Splits thinking from an earlier answer that a client sends back as `<think>…</think>answer`. Templates would do so themselves, but see only a
 * marker in place of the content. Tags are read only at the start, so an answer that merely mentions them stays whole.
 */
function splitReasoning({ role, content, reasoning }: ShownMessage): Pick<ShownMessage, "content" | "reasoning"> {
  const [first, ...rest] = content;
  if (role !== "assistant" || reasoning !== undefined || first?.type !== "text")
    return { content, ...(reasoning !== undefined && { reasoning }) };
  const match = /^\s*<think>(.*?)<\/think>\n*(.*)$/s.exec(first.text);
  if (!match) return { content };
  return { content: [{ type: "text", text: match[2]! }, ...rest], reasoning: match[1]! };
}
