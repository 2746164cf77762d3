// Conversations from a file: JSON Lines of chat messages in OpenAI's form, or ShareGPT's JSON.

import { UserError } from "../core/errors.ts";
import { readText } from "../core/file-system.ts";
import { parseJson } from "../core/parse-json.ts";

export type Message = { readonly role: string; readonly content: unknown };

export type Conversation = {
  readonly messages: readonly Message[];
  /** Length of the answer, if the line sets it. */
  readonly maxTokens?: number;
};

/**
 * A line is an array of messages, or an object with `messages` and optionally `max_tokens`. Of a ShareGPT conversation, only the first turn
 * is used, as in vLLM's benchmark; conversations that do not start with the human are skipped. Throws a UserError that names the faulty line.
 */
export function readDataset(path: string): Conversation[] {
  const text = readText(path);
  const all = parseJson(text);
  const conversations = isShareGpt(all)
    ? all.flatMap(fromShareGpt)
    : text.split("\n").flatMap((line, i) => (line.trim() === "" ? [] : [fromLine(line, `${path}, line ${i + 1}`)]));
  if (conversations.length === 0) throw new UserError(`${path} contains no conversation that begins with a question`);
  return conversations;
}

type ShareGptEntry = { readonly conversations?: unknown; readonly conversation?: unknown };
type ShareGptTurn = { readonly from?: unknown; readonly value?: unknown };

function isShareGpt(value: unknown): value is readonly (ShareGptEntry | null)[] {
  if (!Array.isArray(value)) return false;
  const first = (value as unknown[])[0];
  return typeof first === "object" && first !== null && ("conversations" in first || "conversation" in first);
}

function fromShareGpt(entry: ShareGptEntry | null): Conversation[] {
  const turns = entry?.conversations ?? entry?.conversation;
  const first = Array.isArray(turns) ? (turns[0] as ShareGptTurn | undefined) : undefined;
  if (typeof first?.value !== "string" || first.value === "" || (first.from !== "human" && first.from !== "user")) return [];
  return [{ messages: [{ role: "user", content: first.value }] }];
}

function fromLine(line: string, where: string): Conversation {
  const value = parseJson(line);
  const messages = Array.isArray(value) ? value : (value as { messages?: unknown } | undefined | null)?.messages;
  if (value === undefined) throw new UserError(`${where}: expected JSON, got ${line.trim().slice(0, 60)}`);
  if (!Array.isArray(messages) || messages.length === 0 || !messages.every(isMessage)) {
    throw new UserError(
      `${where}: expected chat messages, [{"role": …, "content": …}] or {"messages": […]}, got ${line.trim().slice(0, 60)}`,
    );
  }
  const maxTokens = (value as { max_tokens?: unknown }).max_tokens;
  if (maxTokens === undefined) return { messages };
  if (!Number.isInteger(maxTokens) || Number(maxTokens) < 1) {
    throw new UserError(`${where}: expected max_tokens to be a whole number from 1, got ${JSON.stringify(maxTokens).slice(0, 60)}`);
  }
  return { messages, maxTokens: Number(maxTokens) };
}

function isMessage(value: unknown): value is Message {
  return typeof value === "object" && value !== null && typeof (value as Message).role === "string" && "content" in value;
}
