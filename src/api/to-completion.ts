// Answers to texts as OpenAI's `text_completion`, with log-probabilities in their old form.

import type { PromptToken, Usage } from "../core/events.ts";
import type { Answer, LogprobsEvent } from "./answer.ts";
import { finiteLogprob } from "./finite-logprob.ts";
import { toPromptLogprobs } from "./prompt-logprobs.ts";
import { type AnswerHead, toUsage } from "./to-openai.ts";

/** What a request asks of the form of its answers. */
export type CompletionForm = {
  readonly head: AnswerHead;
  /** By answer: what its text begins with. */
  readonly echoes: readonly string[];
  /** Answers to each prompt; they follow each other. */
  readonly choiceCount: number;
  /** Undefined: what is echoed comes without log-probabilities. */
  readonly echoedLogprobCount: number | undefined;
  /** Undefined: no `prompt_logprobs`. */
  readonly promptLogprobCount: number | undefined;
};

export function toCompletion(form: CompletionForm, answers: readonly Answer[]) {
  const { head, echoes, choiceCount, echoedLogprobCount, promptLogprobCount } = form;
  return {
    ...head,
    object: "text_completion" as const,
    choices: answers.map((answer, index) => {
      // Answers to the same prompt share what is known of it.
      const { promptTokens = [] } = answers[index - (index % choiceCount)]!;
      return {
        index,
        text: echoes[index]! + answer.content,
        logprobs: toLogprobs([...toEchoed(promptTokens, echoedLogprobCount), ...(answer.logprobs ?? []).map(toScored)], new TextOffsets()),
        finish_reason: answer.finishReason,
        ...(answer.tokenIds && { token_ids: answer.tokenIds }),
        ...(promptLogprobCount !== undefined && { prompt_logprobs: toPromptLogprobs(promptTokens, promptLogprobCount) }),
      };
    }),
    usage: toUsage(
      sumOfPrompts(
        answers.map(({ usage }) => usage),
        choiceCount,
      ),
    ),
  };
}

/** Answers to one prompt share its tokens; those of different prompts add up. */
export function sumOfPrompts(usages: readonly Usage[], choiceCount: number): Usage {
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

type ScoredToken = Pick<PromptToken, "text" | "bytes" | "logprob"> & Pick<LogprobsEvent, "top" | "isHidden">;

export function toScored({ chosen, top, isHidden = false }: LogprobsEvent): ScoredToken {
  return { ...chosen, top, isHidden };
}

/** What is echoed, with so many of the likeliest tokens in each place; nothing where no log-probabilities are wanted. */
export function toEchoed(tokens: readonly PromptToken[], count: number | undefined): ScoredToken[] {
  return count === undefined ? [] : tokens.map((token) => ({ ...token, top: token.top.slice(0, count) }));
}

/** Where the tokens of one choice begin in its text, in UTF-16 code units. */
export class TextOffsets {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #next = 0;

  /** The place of the next token: a character may take several, and one that is hidden takes no place. */
  next({ bytes, isHidden }: ScoredToken): number {
    const start = this.#next;
    if (!isHidden) this.#next += this.#decoder.decode(Uint8Array.from(bytes), { stream: true }).length;
    return start;
  }
}

/** `tokens`: those that come next in the choice whose `offsets` these are. */
export function toLogprobs(tokens: readonly ScoredToken[], offsets: TextOffsets) {
  if (tokens.length === 0) return null;
  const toTop = (top: ScoredToken["top"]) => Object.fromEntries(top.map(({ text, logprob }) => [text, finiteLogprob(logprob)]));
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => (logprob === undefined ? null : finiteLogprob(logprob))),
    top_logprobs: tokens.map(({ logprob, top }) => (logprob === undefined ? null : toTop(top))),
    text_offset: tokens.map((token) => offsets.next(token)),
  };
}
