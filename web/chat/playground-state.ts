// What the views are told.

import { type AnswerTurn, type Conversation, type ConversationSummary, isRunning } from "./conversation.ts";
import type { Problem } from "./problem.ts";
import type { Model } from "./server.ts";
import type { EditorMistake } from "./settings.ts";

type ServerState =
  | { readonly type: "connecting" }
  | { readonly type: "ready"; readonly models: readonly Model[] }
  | { readonly type: "problem"; readonly problem: Problem };

export type PlaygroundState = {
  readonly server: ServerState;
  /** The chosen model, once the server has told of it. */
  readonly model: Model | undefined;
  readonly summaries: readonly ConversationSummary[];
  /** For how long conversations are kept; `failed`: the last one was not. */
  readonly keeping: "lasting" | "tab" | "failed";
  readonly conversation: Conversation;
  readonly run: Run | undefined;
};

/** Whether an answer is being written: by this tab, or what is shown by another one. */
export function isBusy({ run, conversation }: PlaygroundState): boolean {
  return run !== undefined || conversation.turns.some(isRunning);
}

/** An answer that this tab is reading; the conversation need not be the one that is shown. */
export type Run = { readonly conversation: Conversation; readonly answer: AnswerTurn; readonly abort: AbortController };

/** Why nothing was asked: a mistake in the settings, on this tab of them. */
export type Refusal = { readonly tab: "format" | "tools"; readonly mistake: EditorMistake };

/** Why a message was not taken; the files may be too large to send. What was typed stays where it is. */
export type MessageRefusal = Refusal | "too-large";
