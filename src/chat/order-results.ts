// Puts results of tools in the order of their calls.

import type { Chat, ChatMessage, ToolCall } from "../core/chat.ts";

/**
 * The chat with results that follow each other sorted as their calls are. A client that runs calls at the same time may send results as they come, and
 * templates show no ids, so the model would take the first result for that of the first call. Results stay as sent where one has the id of no call.
 */
export function orderResults(chat: Chat): Chat {
  const messages: ChatMessage[] = [];
  let calls: readonly ToolCall[] = [];
  for (let start = 0, end; start < chat.messages.length; start = end) {
    end = start + 1;
    const message = chat.messages[start]!;
    if (message.role === "tool") {
      while (chat.messages[end]?.role === "tool") end++;
      messages.push(...sortResults(chat.messages.slice(start, end), calls));
    } else {
      messages.push(message);
      calls = message.toolCalls ?? [];
    }
  }
  return { ...chat, messages };
}

function sortResults(results: readonly ChatMessage[], calls: readonly ToolCall[]): readonly ChatMessage[] {
  const places = new Map(calls.map(({ id }, place) => [id, place]));
  const placeOf = ({ toolCallId = "" }: ChatMessage): number => places.get(toolCallId) ?? NaN;
  return results.some((result) => Number.isNaN(placeOf(result)))
    ? results
    : results.toSorted((one, other) => placeOf(one) - placeOf(other));
}
