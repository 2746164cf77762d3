// Templates, folders without one, and prompts as text, for the tests of templates.

import type { PromptSegment } from "../../src/chat/marked-texts.ts";
import { ChatTemplate } from "../../src/chat/template.ts";
import type { Chat, ChatMessage } from "../../src/core/chat.ts";
import { temporaryFolder } from "../temporary-folder.ts";

export function emptyFolder(): string {
  return temporaryFolder();
}

export function makeTemplate(jinja: string): ChatTemplate {
  return new ChatTemplate({ jinja, path: "some.jinja", bosToken: "<b>", eosToken: "<e>" });
}

export function makeConversation(turns: readonly (readonly [ChatMessage["role"], string])[]): Chat {
  return { messages: turns.map(([role, text]) => ({ role, content: [{ type: "text", text }] })), thinking: false };
}

export function show(segments: readonly PromptSegment[]): string {
  return segments.map((segment) => ("text" in segment ? segment.text : `<|${segment.type.toUpperCase()}_PLACEHOLDER|>`)).join("");
}
