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
        logprobs: toLogprobs([...toEchoed(promptTokens, echoedLogprobCount), ...(answer.logprobs ?? []).map(toScored)], 0),
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

type ScoredToken = Pick<PromptToken, "text" | "bytes" | "logprob"> & Pick<LogprobsEvent, "top">;

export function toScored({ chosen, top }: LogprobsEvent): ScoredToken {
  return { ...chosen, top };
}

/** What is echoed, with so many of the likeliest tokens in each place; nothing where no log-probabilities are wanted. */
export function toEchoed(tokens: readonly PromptToken[], count: number | undefined): ScoredToken[] {
  return count === undefined ? [] : tokens.map((token) => ({ ...token, top: token.top.slice(0, count) }));
}

/** `textOffset`: where the first token's text begins in the text of the choice, in UTF-16 code units. */
export function toLogprobs(tokens: readonly ScoredToken[], textOffset: number) {
  if (tokens.length === 0) return null;
  let offset = textOffset;
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const offsets = tokens.map(({ bytes }) => {
    const start = offset;
    offset += decoder.decode(Uint8Array.from(bytes), { stream: true }).length; // a character may take several tokens
    return start;
  });
  const toTop = (top: ScoredToken["top"]) => Object.fromEntries(top.map(({ text, logprob }) => [text, finiteLogprob(logprob)]));
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => (logprob === undefined ? null : finiteLogprob(logprob))),
    top_logprobs: tokens.map(({ logprob, top }) => (logprob === undefined ? null : toTop(top))),
    text_offset: offsets,
  };
}
