// Complete answers, collected from their events. The routes build their objects from them.

import { EngineError } from "../core/errors.ts";
import type { SequenceRouting } from "../core/routing.ts";
import type { AnswerEnd, AnswerEvent, ChatEvent, PromptToken, Usage } from "../core/events.ts";
import { randomId } from "./random-id.ts";

export type AnsweredCall = { readonly id: string; readonly name: string; readonly arguments: string };

export type Answer = {
  readonly content: string;
  readonly reasoning: string;
  readonly toolCalls: readonly AnsweredCall[];
  readonly finishReason: AnswerEnd;
  readonly usage: Usage;
  /** Only if the request asked for it. */
  readonly promptTokenIds: readonly number[] | undefined;
  readonly tokenIds: readonly number[] | undefined;
  readonly logprobs: readonly LogprobsEvent[] | undefined;
  /** Only in the first answer to a prompt. */
  readonly promptTokens?: readonly PromptToken[] | undefined;
  readonly routing?: SequenceRouting | undefined;
};

export type LogprobsEvent = Extract<AnswerEvent, { type: "logprobs" }>;

type AnswerSoFar = {
  content: string;
  reasoning: string;
  toolCalls: { id: string; name: string; arguments: string }[];
  tokenIds: number[] | undefined;
  logprobs: LogprobsEvent[] | undefined;
  promptTokens: PromptToken[] | undefined;
};

/** All answers of a request, in order. */
export async function collectAnswers(events: AsyncIterable<ChatEvent>, count: number): Promise<Answer[]> {
  const drafts = Array.from({ length: count }, newDraft);
  const answers: Answer[] = [];
  let promptTokenIds: readonly number[] | undefined;
  for await (const event of events) {
    if (event.type === "started") {
      promptTokenIds = event.promptTokenIds;
      continue;
    }
    const choice = event.choice ?? 0;
    const draft = drafts[choice]!;
    if (event.type !== "finished") addTo(draft, event);
    else answers[choice] = { ...draft, finishReason: event.reason, usage: event.usage, promptTokenIds, routing: event.routing };
  }
  if (Object.keys(answers).length < count) throw endedEarly();
  return answers;
}

function newDraft(): AnswerSoFar {
  return { content: "", reasoning: "", toolCalls: [], tokenIds: undefined, logprobs: undefined, promptTokens: undefined };
}

function addTo(draft: AnswerSoFar, event: Exclude<AnswerEvent, { type: "finished" }>): void {
  switch (event.type) {
    case "tokens":
      (draft.tokenIds ??= []).push(...event.tokenIds);
      break;
    case "logprobs":
      (draft.logprobs ??= []).push(event);
      break;
    case "prompt-token":
      (draft.promptTokens ??= []).push(event);
      break;
    case "content":
    case "reasoning":
      draft[event.type] += event.text;
      break;
    case "tool-call":
      draft.toolCalls.push({ id: newCallId(), name: event.name, arguments: "" });
      break;
    case "tool-arguments":
      draft.toolCalls.at(-1)!.arguments += event.text;
  }
}

/** The events of the prompts alone, without the one token that the model has to add to each. */
export async function* withoutAnswers(events: AsyncIterable<ChatEvent>): AsyncGenerator<ChatEvent, void> {
  for await (const event of events) {
    if (event.type === "started" || event.type === "prompt-token") yield event;
    if (event.type === "finished") yield { ...event, reason: "length", usage: { ...event.usage, completionTokens: 0, reasoningTokens: 0 } };
  }
}

/**
 * The usage of a whole request: of `choiceCount` answers to each prompt, which are neighbours. The tokens of a prompt count once for all its answers.
 * Throws EngineError when an answer has not ended.
 */
export function totalUsage(answers: readonly { readonly usage: Usage | undefined }[], choiceCount = answers.length): Usage {
  const usages = answers.flatMap(({ usage }) => usage ?? []);
  if (usages.length < answers.length) throw endedEarly();
  const sum = (name: keyof Usage, of: readonly Usage[]) => of.reduce((total, usage) => total + usage[name], 0);
  const prompts = usages.filter((_, index) => index % choiceCount === 0);
  return {
    promptTokens: sum("promptTokens", prompts),
    cachedTokens: sum("cachedTokens", prompts),
    imageTokens: sum("imageTokens", prompts),
    completionTokens: sum("completionTokens", usages),
    reasoningTokens: sum("reasoningTokens", usages),
  };
}

export function newCallId(): string {
  return `call_${randomId().slice(0, 24)}`;
}

export function endedEarly(): EngineError {
  return new EngineError("the answer ended without a `finished` event");
}
