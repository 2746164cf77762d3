// Types of what Anthropic's clients receive: messages, their blocks, and the events of a stream.

import type { JsonObject } from "../../core/chat.ts";
import type { MessageUsage, StopReason } from "./message-end.ts";

type TextBlock = { type: "text"; text: string };
type ThinkingBlock = { type: "thinking"; thinking: string; signature: string };
type ToolUseBlock = { type: "tool_use"; id: string; name: string; input: JsonObject; caller: { type: "direct" } };
export type ContentBlock = TextBlock | ThinkingBlock | ToolUseBlock;

export type Message = {
  readonly id: string;
  readonly type: "message";
  readonly role: "assistant";
  readonly model: string;
  readonly content: ContentBlock[];
  readonly stop_reason: StopReason | null;
  readonly stop_sequence: string | null;
  readonly stop_details: null;
  readonly container: null;
  readonly diagnostics: null;
  readonly usage: MessageUsage;
};

export type Delta =
  | { readonly type: "text_delta"; readonly text: string }
  | { readonly type: "thinking_delta"; readonly thinking: string }
  | { readonly type: "signature_delta"; readonly signature: string }
  | { readonly type: "input_json_delta"; readonly partial_json: string };

export type MessageEvent =
  | { readonly type: "message_start"; readonly message: Message }
  | { readonly type: "content_block_start"; readonly index: number; readonly content_block: ContentBlock }
  | { readonly type: "content_block_delta"; readonly index: number; readonly delta: Delta }
  | { readonly type: "content_block_stop"; readonly index: number }
  | {
      readonly type: "message_delta";
      readonly delta: Pick<Message, "stop_reason" | "stop_sequence" | "stop_details" | "container">;
      readonly usage: MessageUsage;
    }
  | { readonly type: "message_stop" }
  | { readonly type: "ping" };
