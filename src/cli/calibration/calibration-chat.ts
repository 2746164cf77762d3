// A conversation that a calibration runs, and what tells one set of them from another.

import { createHash } from "node:crypto";
import type { Chat } from "../../core/chat.ts";

export type CalibrationChat = {
  readonly chat: Chat;
  /** Where it comes from, for messages: `chats.jsonl, line 3`. */
  readonly place: string;
};

/** Hex digits that differ when anything a model would see does. */
export function hashChats(chats: readonly CalibrationChat[]): string {
  const hash = createHash("sha256");
  for (const { chat } of chats) {
    for (const { role, content, reasoning } of chat.messages) {
      hash.update(JSON.stringify([role, reasoning, content.length]));
      for (const part of content) {
        // Videos are refused when the chat is encoded.
        if (part.type === "document") hash.update(JSON.stringify([part.title, part.context]));
        hash.update(JSON.stringify("bytes" in part ? [part.bytes.length, part.maxPixels] : part.type === "text" && part.text));
        if ("bytes" in part) hash.update(part.bytes);
      }
    }
    hash.update(JSON.stringify(chat.thinking));
  }
  return hash.digest("hex");
}
