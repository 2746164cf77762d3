// Turns and streams with defaults, for tests of the page's logic.

import type { AnswerTurn, Attachment, UserTurn } from "../../web/chat/conversation.ts";
import { newAnswer } from "../../web/chat/conversation.ts";
import { defaultSettings } from "../../web/chat/settings.ts";

export function makeAttachment(fields: Partial<Attachment> = {}): Attachment {
  return { id: "picture", kind: "image", name: "stars.png", url: "data:image/png;base64,AAAA", ...fields };
}

export function makeUserTurn(fields: Partial<UserTurn> = {}): UserTurn {
  return { type: "user", id: "user", text: "What is this?", attachments: [], ...fields };
}

export function makeAnswer(fields: Partial<AnswerTurn> = {}): AnswerTurn {
  return { ...newAnswer("answer", defaultSettings), state: "done", ...fields };
}

/** A response that streams these chunks, and ends as the server's do unless told otherwise. */
export function streamOf(chunks: readonly object[], end = "data: [DONE]\n\n"): Response {
  return new Response(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("") + end);
}

export function contentChunk(content: string, finishReason: string | null = null): object {
  return { choices: [{ index: 0, delta: { content }, finish_reason: finishReason }] };
}
