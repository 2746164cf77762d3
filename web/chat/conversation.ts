// A conversation as the page keeps it: turns of a person and answers of the model. Plain values; nothing here changes its arguments.

import type { Problem } from "./problem.ts";
import type { Routing } from "./routing.ts";
import { defaultSettings, type Settings } from "./settings.ts";

export type Attachment = {
  readonly id: string;
  readonly kind: "image" | "video" | "document";
  readonly name: string;
  /** Data URI in base64; a document's media type is PDF or plain text. */
  readonly url: string;
};

export type UserTurn = {
  readonly type: "user";
  readonly id: string;
  readonly text: string;
  readonly attachments: readonly Attachment[];
};

export type ToolCall = {
  readonly id: string;
  readonly name: string;
  /** JSON, as the model wrote it. */
  readonly arguments: string;
  /** The result that the user, or the page, gave for the call; undefined until then. */
  readonly result?: string | undefined;
  /** The part of a picture that the page cut out because the model asked to see it enlarged. */
  readonly zoom?: Zoom | undefined;
};

export type Zoom = {
  readonly crop: Attachment;
  /** Id of the picture it was cut out of. */
  readonly of: string;
  /** Left, top, right, bottom in thousandths of the picture's sides. */
  readonly box: readonly [number, number, number, number];
  /** What the model expects there; may be empty. */
  readonly label: string;
};

export type Metrics = {
  readonly firstTokenMs?: number | undefined;
  readonly thinkingMs?: number | undefined;
  /** Of the whole answer after its first token, thinking included. */
  readonly tokensPerSecond?: number | undefined;
  readonly promptTokens?: number | undefined;
  readonly cachedTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  readonly thinkingTokens?: number | undefined;
  readonly finishReason?: string | undefined;
};

export type AnswerTurn = {
  readonly type: "answer";
  readonly id: string;
  readonly state: "running" | "done" | "stopped" | "failed";
  readonly text: string;
  readonly thinking: string;
  readonly calls: readonly ToolCall[];
  readonly metrics: Metrics;
  /** Only from a server that exposes it. */
  readonly routing?: Routing | undefined;
  readonly problem?: Problem | undefined;
  /** The settings of the request. */
  readonly settings: Settings;
};

export type Turn = UserTurn | AnswerTurn;

export type Conversation = {
  readonly id: string;
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
  readonly settings: Settings;
  readonly turns: readonly Turn[];
  /** Ids of turns that were replaced, so that no other tab brings them back. */
  readonly replaced?: readonly string[];
};

export type ConversationSummary = Pick<Conversation, "id" | "title" | "updatedAt">;

/** The files that a turn adds to the prompt, in prompt order. */
export function attachmentsOf(turn: Turn): readonly Attachment[] {
  return turn.type === "user" ? turn.attachments : turn.calls.flatMap(({ zoom }) => (zoom ? [zoom.crop] : []));
}

export function changeAttachments(conversation: Conversation, change: (attachment: Attachment) => Attachment): Conversation {
  const changeCall = (call: ToolCall) => (call.zoom ? { ...call, zoom: { ...call.zoom, crop: change(call.zoom.crop) } } : call);
  const changeTurn = (turn: Turn): Turn =>
    turn.type === "user" ? { ...turn, attachments: turn.attachments.map(change) } : { ...turn, calls: turn.calls.map(changeCall) };
  return { ...conversation, turns: conversation.turns.map(changeTurn) };
}

/** The pictures that the prompt calls Picture 1, Picture 2, …, up to the first PDF: only the server knows how many pages that has. */
export function numberedPictures(turns: readonly Turn[]): readonly Attachment[] {
  const files = turns.flatMap(attachmentsOf);
  const firstPdf = files.findIndex(isPdf);
  return (firstPdf < 0 ? files : files.slice(0, firstPdf)).filter(({ kind }) => kind === "image");
}

export function isPdf({ kind, url }: Attachment): boolean {
  return kind === "document" && url.startsWith("data:application/pdf;");
}

/** Size of the file in bytes. */
export function byteCountOf({ url }: Attachment): number {
  const base64 = url.slice(url.indexOf(",") + 1);
  return (base64.length / 4) * 3 - (/=*$/.exec(base64.slice(-2))?.[0].length ?? 0);
}

export function newConversation(id: string, now: number, settings: Settings = defaultSettings): Conversation {
  return { id, title: "", updatedAt: now, settings, turns: [] };
}

/** `begun`: the beginning of the answer, if it is continued. */
export function newAnswer(id: string, settings: Settings, begun?: Pick<AnswerTurn, "text" | "thinking">): AnswerTurn {
  const { text, thinking } = begun ?? { text: "", thinking: "" };
  return { type: "answer", id, state: "running", text, thinking, calls: [], metrics: {}, settings };
}

/** The turns before the one with this id; all turns if there is none. */
export function turnsBefore(turns: readonly Turn[], id: string): readonly Turn[] {
  const index = turns.findIndex((turn) => turn.id === id);
  return index < 0 ? turns : turns.slice(0, index);
}

export function replaceAnswer(conversation: Conversation, answer: AnswerTurn): Conversation {
  return { ...conversation, turns: conversation.turns.map((turn) => (turn.id === answer.id ? answer : turn)) };
}

/**
 * Merges two tabs' versions of a conversation: the turns of both except replaced ones, each in its more advanced state. If both have new
 * turns, those of `own` come last. Title and settings are those of `own`.
 */
export function mergeConversations(kept: Conversation, own: Conversation): Conversation {
  const replaced = [...new Set([...(kept.replaced ?? []), ...(own.replaced ?? [])])];
  const ownTurns = new Map(own.turns.map((turn) => [turn.id, turn]));
  const shared = kept.turns.map((turn) => furtherOf(turn, ownTurns.get(turn.id) ?? turn));
  const added = own.turns.filter(({ id }) => kept.turns.every((turn) => turn.id !== id));
  const turns = [...shared, ...added].filter(({ id }) => !replaced.includes(id));
  return { ...own, updatedAt: Math.max(kept.updatedAt, own.updatedAt), turns, replaced };
}

/** From the least to the most advanced. "stopped" overrides "running", because a running answer of a closed tab is read as stopped. */
const states: readonly AnswerTurn["state"][] = ["running", "stopped", "failed", "done"];

function furtherOf(kept: Turn, own: Turn): Turn {
  if (kept.type !== "answer" || own.type !== "answer") return kept;
  const isFurther = states.indexOf(own.state) - states.indexOf(kept.state) || lengthOf(own) - lengthOf(kept);
  return isFurther > 0 ? own : kept;
}

function lengthOf({ text, thinking, calls }: AnswerTurn): number {
  return text.length + thinking.length + JSON.stringify(calls).length;
}

export function isRunning(turn: Turn): boolean {
  return turn.type === "answer" && turn.state === "running";
}

/** Whether the answer, when it ends, may take the place of an earlier one: it is whole, or some of it came. */
export function hasContent({ text, thinking, calls, state }: Partial<AnswerTurn>): boolean {
  return state === "done" || Boolean(text || thinking || calls?.length);
}

/** Whether the model can continue the answer: a text, in any format, that was stopped, cut off by a limit or interrupted. */
export function canGoOn({ state, text, thinking, calls, metrics }: AnswerTurn): boolean {
  const isWhole = state === "running" || (state === "done" && metrics.finishReason !== "length");
  return !isWhole && (text !== "" || thinking !== "") && calls.length === 0;
}

/** The calls of the last turn that have no result yet. */
export function openCalls(turns: readonly Turn[]): readonly ToolCall[] {
  const last = turns.at(-1);
  if (last?.type !== "answer" || last.state !== "done") return [];
  return last.calls.filter(({ result }) => result === undefined);
}

const longestTitle = 48;

/** A title for a conversation: its first words. */
export function titleOf(turns: readonly Turn[]): string {
  const first = turns.find((turn) => turn.type === "user");
  if (!first) return "New conversation";
  const words = first.text.replaceAll(/\s+/g, " ").trim();
  if (words === "") return first.attachments[0]?.name ?? "New conversation";
  if (words.length <= longestTitle) return words;
  const start = words.slice(0, longestTitle).replace(/[\ud800-\udbff]$/, ""); // no half of a surrogate pair
  return `${start.trimEnd()}…`;
}

/** Marks running answers as stopped: one that was running when its page was closed will never end. */
export function withoutRunning(conversation: Conversation): Conversation {
  if (!conversation.turns.some(isRunning)) return conversation;
  const turns = conversation.turns.map((turn) => (isRunning(turn) ? ({ ...turn, state: "stopped" } as AnswerTurn) : turn));
  return { ...conversation, turns };
}

/** File name of an exported conversation: the words of its title, in any script. */
export function exportName(title: string): string {
  const words = title.match(/[\p{L}\p{N}\p{M}]+/gu) ?? ["conversation"];
  return `${words.join("-")}.json`;
}
