// Templates, and prompts as text, for the tests of templates.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { PromptSegment } from "../../src/chat/marked-texts.ts";
import { ChatTemplate, loadTemplate } from "../../src/chat/template.ts";
import type { ShownChat, ShownMessage } from "../../src/core/chat.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** The template of a folder that has none: its name tells of which model. */
export function builtInTemplate(name: "pt" | "thinking"): ChatTemplate {
  const folder = join(temporaryFolder(), name);
  mkdirSync(folder);
  return loadTemplate(folder);
}

export function makeTemplate(jinja: string): ChatTemplate {
  return new ChatTemplate({ jinja, path: "some.jinja", tokens: { bos_token: "<b>", eos_token: "<e>" } });
}

export function makeConversation(turns: readonly (readonly [ShownMessage["role"], string])[]): ShownChat {
  return { messages: turns.map(([role, text]) => ({ role, content: [{ type: "text", text }] })), thinking: false };
}

export function show(segments: readonly PromptSegment[]): string {
  return segments.map((segment) => ("text" in segment ? segment.text : `<|${segment.type.toUpperCase()}_PLACEHOLDER|>`)).join("");
}
