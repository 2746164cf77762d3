// `encrypted_content` of thinking: for clients that keep this field of it and no other, and send it back. Nothing is encrypted, since the
// thought itself stands beside it.

import type { ReasoningText } from "./response-object.ts";

/** What other servers made begins in another way, and means nothing here. */
const mark = "ernie-vl.";

export function toPortable(thought: string): string {
  return mark + Buffer.from(thought).toString("base64url");
}

/** The thought, if it is one of this server's. */
export function fromPortable(content: string): ReasoningText[] {
  if (!content.startsWith(mark)) return [];
  return [{ type: "reasoning_text", text: Buffer.from(content.slice(mark.length), "base64url").toString() }];
}
