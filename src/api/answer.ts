// An answer whose events have all come: what the routes make their objects of.

import { randomUUID } from "node:crypto";
import { EngineError } from "../core/errors.ts";
import type { AnswerEnd, ChatEvent, Usage } from "../core/events.ts";

export type AnsweredCall = { readonly id: string; readonly name: string; readonly arguments: string };

export type Answer = {
  readonly content: string;
  readonly reasoning: string;
  readonly toolCalls: readonly AnsweredCall[];
  readonly finishReason: AnswerEnd;
  readonly usage: Usage;
  /** Only where asked for. */
  readonly promptTokenIds: readonly number[] | undefined;
  readonly tokenIds: readonly number[] | undefined;
};

export async function collectAnswer(events: AsyncIterable<ChatEvent>): Promise<Answer> {
  let content = "";
  let reasoning = "";
  const toolCalls: { id: string; name: string; arguments: string }[] = [];
  let promptTokenIds: readonly number[] | undefined;
  let tokenIds: number[] | undefined;
  for await (const event of events) {
    if (event.type === "started") promptTokenIds = event.promptTokenIds;
    else if (event.type === "tokens") (tokenIds ??= []).push(...event.tokenIds);
    else if (event.type === "content") content += event.text;
    else if (event.type === "reasoning") reasoning += event.text;
    else if (event.type === "tool-call") toolCalls.push({ id: newCallId(), name: event.name, arguments: "" });
    else if (event.type === "tool-arguments") toolCalls.at(-1)!.arguments += event.text;
    else return { content, reasoning, toolCalls, finishReason: event.reason, usage: event.usage, promptTokenIds, tokenIds };
  }
  throw endedEarly();
}

export function newCallId(): string {
  return `call_${randomUUID().replaceAll("-", "").slice(0, 24)}`;
}

export function endedEarly(): EngineError {
  return new EngineError("the answer ended without a `finished` event");
}
