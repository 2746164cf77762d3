// Items of a conversation → messages of a chat. An assistant turn consists of several items: thinking, then a message, then calls.

import type { ChatMessage, ContentPart as ChatPart, ToolCall } from "../../core/chat.ts";
import { toDocument } from "../file-schema.ts";
import type { MediaParts } from "../media-parts.ts";
import { contradiction } from "../schema-fields.ts";
import type { ContentPart, Item } from "./input-items.ts";
import { toArguments, toldName } from "./tools.ts";

/** `param`: where the item stands in the request, for error messages. */
export type PlacedItem = { readonly item: Item; readonly param: string };

type Turn = {
  readonly role: ChatMessage["role"];
  /** Undefined: the turn has no message yet. */
  content: PlacedContent | undefined;
  reasoning?: string;
  readonly toolCalls: ToolCall[];
  readonly toolCallId?: string;
};

type PlacedContent = { readonly parts: string | readonly ContentPart[]; readonly param: string };

/** Throws RequestError when a picture cannot be read, or when a result has no call before it. */
export async function toMessages(items: readonly PlacedItem[], media: MediaParts): Promise<ChatMessage[]> {
  refuseUncalledResults(items);
  const turns: Turn[] = [];
  for (const placed of items) addItem(turns, placed);
  return Promise.all(turns.map((turn) => toMessage(turn, media)));
}

function addItem(turns: Turn[], { item, param }: PlacedItem): void {
  switch (item.type) {
    case "message": {
      const content = { parts: item.content, param: `${param}.content` };
      if (item.role === "assistant") assistantTurn(turns, (turn) => turn.content === undefined).content = content;
      else turns.push({ role: item.role === "user" ? "user" : "system", content, toolCalls: [] });
      break;
    }
    case "reasoning": {
      const parts = item.content.length > 0 ? item.content : item.summary;
      const thought = parts.map((part) => part.text).join("");
      const turn = assistantTurn(turns, ({ content, toolCalls }) => content === undefined && toolCalls.length === 0);
      if (thought !== "") turn.reasoning = (turn.reasoning ?? "") + thought;
      break;
    }
    case "function_call":
    case "custom_tool_call": {
      const written = item.type === "function_call" ? item.arguments : toArguments(item.input);
      const name = toldName(item.name, item.namespace);
      assistantTurn(turns, () => true).toolCalls.push({ id: item.call_id, name, arguments: written });
      break;
    }
    case "function_call_output":
    case "custom_tool_call_output":
      turns.push({ role: "tool", content: { parts: item.output, param: `${param}.output` }, toolCalls: [], toolCallId: item.call_id });
  }
}

/** The assistant turn at the end if the next item still fits into it, otherwise a new one. */
function assistantTurn(turns: Turn[], hasPlace: (turn: Turn) => boolean): Turn {
  const last = turns.at(-1);
  if (last?.role === "assistant" && hasPlace(last)) return last;
  const turn: Turn = { role: "assistant", content: undefined, toolCalls: [] };
  turns.push(turn);
  return turn;
}

async function toMessage({ role, content, reasoning, toolCalls, toolCallId }: Turn, media: MediaParts): Promise<ChatMessage> {
  return {
    role,
    content: content ? await toParts(content, media) : [],
    ...(reasoning !== undefined && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(toolCallId !== undefined && { toolCallId }),
  };
}

async function toParts({ parts, param }: PlacedContent, media: MediaParts): Promise<ChatPart[]> {
  if (typeof parts === "string") return [{ type: "text", text: parts }];
  return Promise.all(parts.map((part, index) => toPart(part, `${param}[${index}]`, media)));
}

async function toPart(part: ContentPart, param: string, media: MediaParts): Promise<ChatPart> {
  if (part.type === "refusal") return { type: "text", text: part.refusal };
  if (part.type === "input_file") return media.document(toDocument(part, param));
  if (part.type !== "input_image") return { type: "text", text: part.text };
  const detail = part.detail === "original" ? "high" : part.detail;
  return media.image({ url: part.image_url, detail, param: `${param}.image_url` });
}

/** A missing call is most often a mistake, and without it the model would not know what the result is about. */
function refuseUncalledResults(items: readonly PlacedItem[]): void {
  const calls = new Set<string>();
  for (const { item, param } of items) {
    if (item.type === "function_call" || item.type === "custom_tool_call") calls.add(item.call_id);
    if ((item.type !== "function_call_output" && item.type !== "custom_tool_call_output") || calls.has(item.call_id)) continue;
    const got = JSON.stringify(item.call_id.slice(0, 100));
    throw contradiction(`${param}.call_id`, `the call_id of an earlier call, got ${got}; send that call too, or previous_response_id`);
  }
}
