// A conversation that a calibration runs, and a hash of a set of them.

import { createHash } from "node:crypto";
import type { Chat } from "../../core/chat.ts";

export type CalibrationChat = {
  readonly chat: Chat;
  /** Where it comes from, for messages: `chats.jsonl, line 3`. */
  readonly place: string;
};

/** A hash in hex of everything that the model sees. */
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
