// The state that the views draw.

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
  /** The chosen model, once the server has listed its models. */
  readonly model: Model | undefined;
  readonly summaries: readonly ConversationSummary[];
  /** How long conversations are kept; `failed`: the last one could not be saved. */
  readonly keeping: "lasting" | "tab" | "failed";
  readonly conversation: Conversation;
  readonly run: Run | undefined;
};

/** Whether an answer is being written: any by this tab, or the shown one by another tab. */
export function isBusy({ run, conversation }: PlaygroundState): boolean {
  return run !== undefined || conversation.turns.some(isRunning);
}

/** An answer that this tab is receiving; its conversation may not be the one that is shown. */
export type Run = {
  readonly conversation: Conversation;
  readonly answer: AnswerTurn;
  readonly abort: AbortController;
  /** The page may be closing. */
  readonly isLeft?: boolean;
};

/** Why nothing was sent: a mistake in the settings, on this settings tab. */
export type Refusal = { readonly tab: "format" | "tools"; readonly mistake: EditorMistake };

/** Why a message was not sent; "too-large": its files do not fit into a request. The typed text stays in the field. */
export type MessageRefusal = Refusal | "too-large";
