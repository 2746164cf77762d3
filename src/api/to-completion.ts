// Text completions as OpenAI's `text_completion` objects, with log-probabilities in their older format.

import type { PromptToken } from "../core/events.ts";
import { type Answer, type LogprobsEvent, totalUsage } from "./answer.ts";
import { finiteLogprob } from "./finite-logprob.ts";
import { toPromptLogprobs } from "./prompt-logprobs.ts";
import { type AnswerHead, toUsage } from "./to-openai.ts";

/** What all answers to one request share. */
export type CompletionForm = {
  readonly head: AnswerHead;
  /** For each answer, the text that it begins with. */
  readonly echoes: readonly string[];
  /** Answers to each prompt. Answers to the same prompt are neighbours. */
  readonly choiceCount: number;
  /** Undefined: the echo has no log-probabilities. */
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
      // Only the first answer to a prompt has its tokens.
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
    usage: toUsage(totalUsage(answers, choiceCount)),
  };
}

type ScoredToken = Pick<PromptToken, "text" | "bytes" | "logprob"> & Pick<LogprobsEvent, "top" | "isHidden">;

export function toScored({ chosen, top, isHidden = false }: LogprobsEvent): ScoredToken {
  return { ...chosen, top, isHidden };
}

/** The echoed tokens with `count` of the likeliest tokens in each place; none when no log-probabilities are wanted. */
export function toEchoed(tokens: readonly PromptToken[], count: number | undefined): ScoredToken[] {
  return count === undefined ? [] : tokens.map((token) => ({ ...token, top: token.top.slice(0, count) }));
}

/** The offsets at which the tokens of one choice begin in its text, in UTF-16 code units. */
export class TextOffsets {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #next = 0;

  /** The offset of the next token. Several tokens may form one character, and hidden tokens have no length. */
  next({ bytes, isHidden }: ScoredToken): number {
    const start = this.#next;
    if (!isHidden) this.#next += this.#decoder.decode(Uint8Array.from(bytes), { stream: true }).length;
    return start;
  }
}

/** `tokens`: the next ones in the choice that `offsets` belongs to. */
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
