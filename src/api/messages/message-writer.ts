// Translates events to those of Anthropic's streams. Whole messages are assembled from the same events, so both always agree.

import type { ChatEvent } from "../../core/events.ts";
import { toolCallTokens } from "../../core/structured-output.ts";
import { endedEarly } from "../answer.ts";
import { randomId } from "../random-id.ts";
import { isBoundedObject } from "../tool-schema.ts";
import { type MessageUsage, toStopReason, toUsage } from "./message-end.ts";
import type { ContentBlock, Delta, Message, MessageEvent } from "./message.ts";

/** Clients send it back with the thinking; nothing checks it. Not empty, so that no client takes it for missing. */
const signature = "unsigned";

type MessageHead = { readonly id: string; readonly model: string; readonly maxTokens: number };

/** Writes one message. Calls are held back until they are complete; a call whose arguments are not an object is written as text. */
export class MessageWriter {
  readonly #head: MessageHead;
  #blockCount = 0;
  #openBlock: "text" | "thinking" | undefined;
  #heldCall: { readonly name: string; arguments: string } | undefined;
  #hasToolUse = false;
  #isFinished = false;

  constructor(head: MessageHead) {
    this.#head = head;
  }

  *write(event: ChatEvent): Generator<MessageEvent> {
    switch (event.type) {
      case "started":
        yield { type: "message_start", message: this.#emptyMessage(toUsage({ ...event, completionTokens: 0, reasoningTokens: 0 })) };
        yield { type: "ping" };
        break;
      case "reasoning":
        yield* this.#endCall();
        yield* this.#show("thinking", { type: "thinking_delta", thinking: event.text });
        break;
      case "content":
        yield* this.#endCall();
        yield* this.#show("text", { type: "text_delta", text: event.text });
        break;
      case "tool-call":
        yield* this.#endCall();
        this.#heldCall = { name: event.name, arguments: "" };
        break;
      case "tool-arguments":
        this.#heldCall!.arguments += event.text;
        break;
      case "finished":
        yield* this.#finish(event);
    }
  }

  /** Throws EngineError when the events ended without `finished`. */
  end(): void {
    if (!this.#isFinished) throw endedEarly();
  }

  *#finish(event: Extract<ChatEvent, { type: "finished" }>): Generator<MessageEvent> {
    this.#isFinished = true;
    yield* this.#endCall(event.reason === "length");
    yield* this.#closeBlock();
    const stopReason = toStopReason(event, { hasToolUse: this.#hasToolUse, maxTokens: this.#head.maxTokens });
    const stopSequence = stopReason === "stop_sequence" ? event.stopString! : null;
    const delta = { stop_reason: stopReason, stop_sequence: stopSequence, stop_details: null, container: null };
    yield { type: "message_delta", delta, usage: toUsage(event.usage) };
    yield { type: "message_stop" };
  }

  *#show(type: "text" | "thinking", delta: Delta): Generator<MessageEvent> {
    if (this.#openBlock !== type) {
      yield* this.#closeBlock();
      this.#openBlock = type;
      yield this.#startBlock(type === "text" ? { type, text: "" } : { type, thinking: "", signature: "" });
    }
    yield this.#deltaOf(delta);
  }

  *#closeBlock(): Generator<MessageEvent> {
    if (this.#openBlock === "thinking") yield this.#deltaOf({ type: "signature_delta", signature });
    if (this.#openBlock) yield this.#stopBlock();
    this.#openBlock = undefined;
  }

  *#endCall(isCut = false): Generator<MessageEvent> {
    const call = this.#heldCall;
    if (!call) return;
    this.#heldCall = undefined;
    if (!isObjectText(call.arguments)) {
      const end = isCut ? "" : `}${toolCallTokens.end}`;
      const text = `${toolCallTokens.begin}{"name": "${call.name}", "arguments": ${call.arguments}${end}`;
      return yield* this.#show("text", { type: "text_delta", text });
    }
    yield* this.#closeBlock();
    this.#hasToolUse = true;
    const id = `toolu_${randomId().slice(0, 24)}`;
    yield this.#startBlock({ type: "tool_use", id, name: call.name, input: {}, caller: { type: "direct" } });
    yield this.#deltaOf({ type: "input_json_delta", partial_json: call.arguments });
    yield this.#stopBlock();
  }

  #startBlock(block: ContentBlock): MessageEvent {
    return { type: "content_block_start", index: this.#blockCount++, content_block: block };
  }

  #deltaOf(delta: Delta): MessageEvent {
    return { type: "content_block_delta", index: this.#blockCount - 1, delta };
  }

  #stopBlock(): MessageEvent {
    return { type: "content_block_stop", index: this.#blockCount - 1 };
  }

  #emptyMessage(usage: MessageUsage): Message {
    const { id, model } = this.#head;
    const end = { stop_reason: null, stop_sequence: null, stop_details: null } as const;
    return { id, type: "message", role: "assistant", model, content: [], ...end, container: null, diagnostics: null, usage };
  }
}

function isObjectText(json: string): boolean {
  try {
    return isBoundedObject(JSON.parse(json));
  } catch {
    return false;
  }
}
