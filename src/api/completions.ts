// POST /v1/completions: texts that the model goes on with, in OpenAI's form from before there were chats.

import { randomUUID } from "node:crypto";
import type { Handler } from "hono";
import type { ChatService } from "../chat/complete.ts";
import type { TextPrompt } from "../core/chat.ts";
import type { ChatEvent, Usage } from "../core/events.ts";
import { type Answer, collectAnswers, endedEarly, type LogprobsEvent, type PromptToken } from "./answer.ts";
import { type AppOptions, defaultLimits } from "./app-options.ts";
import { parseCompletionRequest } from "./completions-schema.ts";
import { toErrorAnswer } from "./error-envelope.ts";
import { Exchange, refuseUnlessReady, type StreamWriter } from "./exchange.ts";
import { toGenerationOptions } from "./from-openai.ts";
import { refuseOtherModel } from "./models.ts";
import { toOutputFormat } from "./output-format.ts";
import { readJsonObject } from "./read-json.ts";
import type { AppEnv } from "./request-record.ts";
import { toFrame } from "./sse.ts";
import { type AnswerHead, leastLogprob, toUsage } from "./to-openai.ts";

export function completions(service: ChatService, options: AppOptions): Handler<AppEnv> {
  const limits = { ...defaultLimits, ...options.limits };
  return async function answerCompletion(c) {
    refuseUnlessReady(options.isReady);
    const request = parseCompletionRequest(await readJsonObject(c, limits.bodyBytes));
    refuseOtherModel(request.model, options.modelId);
    const exchange = new Exchange(c);
    const { prompts, logprobs, echo = false, n = 1 } = request;
    const format = toOutputFormat(request, undefined);
    const fields = { ...request, logprobs: logprobs !== undefined, top_logprobs: logprobs };
    const generation = {
      ...toGenerationOptions(fields, options.generationDefaults, c.get("cacheSalt")),
      ...(format && { format }),
      ...(echo && logprobs !== undefined && { scoresPrompt: true }),
    };

    const head = { id: `cmpl-${randomUUID().replaceAll("-", "")}`, created: Math.floor(Date.now() / 1000), model: options.modelId };
    const echoes = prompts.flatMap((prompt) => Array<string>(n).fill(echo ? textOf(prompt, service) : ""));
    const events = exchange.completeTexts(service, prompts, generation);
    if (request.stream)
      return exchange.stream(events, new CompletionStream(head, echoes, n, request.stream_options?.include_usage ?? false));
    return exchange.answer(events, async (all) => toCompletion(head, await collectAnswers(all, echoes.length), echoes, n));
  };
}

function textOf(prompt: TextPrompt, service: ChatService): string {
  return "text" in prompt ? prompt.text : service.tokens.decode(prompt.tokenIds, prompt.param);
}

function toCompletion(head: AnswerHead, answers: readonly Answer[], echoes: readonly string[], choiceCount: number) {
  return {
    ...head,
    object: "text_completion" as const,
    choices: answers.map((answer, index) => ({
      index,
      text: echoes[index]! + answer.content,
      // Answers to the same prompt share what is known of it.
      logprobs: toLogprobs([...(answers[index - (index % choiceCount)]!.promptTokens ?? []), ...(answer.logprobs ?? []).map(toScored)], 0),
      finish_reason: answer.finishReason,
      ...(answer.tokenIds && { token_ids: answer.tokenIds }),
    })),
    usage: toUsage(
      sumOfPrompts(
        answers.map(({ usage }) => usage),
        choiceCount,
      ),
    ),
  };
}

/** Answers to one prompt share its tokens; those of different prompts add up. */
function sumOfPrompts(usages: readonly Usage[], choiceCount: number): Usage {
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

type ScoredToken = Pick<PromptToken, "text" | "logprob" | "top">;

function toScored({ chosen, top }: LogprobsEvent): ScoredToken {
  return { text: chosen.text, logprob: chosen.logprob, top };
}

/** `textOffset`: where the first token's text begins in the text of the choice, in UTF-16 code units. */
function toLogprobs(tokens: readonly ScoredToken[], textOffset: number) {
  if (tokens.length === 0) return null;
  let offset = textOffset;
  const offsets = tokens.map(({ text }) => {
    const start = offset;
    offset += text.length;
    return start;
  });
  const least = (logprob: number) => Math.max(leastLogprob, logprob);
  const toTop = (top: ScoredToken["top"]) => Object.fromEntries(top.map(({ text, logprob }) => [text, least(logprob)]));
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => (logprob === undefined ? null : least(logprob))),
    top_logprobs: tokens.map(({ logprob, top }) => (logprob === undefined ? null : toTop(top))),
    text_offset: offsets,
  };
}

/** What has been sent of a choice, and what waits for its text. */
type ChoiceState = { textLength: number; held: LogprobsEvent[]; usage: Usage | undefined };

class CompletionStream implements StreamWriter {
  readonly #head: AnswerHead;
  readonly #choiceCount: number;
  readonly #includeUsage: boolean;
  readonly #choices: readonly ChoiceState[];
  /** Sent before anything else. */
  readonly #echoes: readonly string[];
  #hasBegun = false;

  constructor(head: AnswerHead, echoes: readonly string[], choiceCount: number, includeUsage: boolean) {
    this.#head = head;
    this.#choiceCount = choiceCount;
    this.#includeUsage = includeUsage;
    this.#echoes = echoes;
    this.#choices = echoes.map((echo) => ({ textLength: echo.length, held: [], usage: undefined }));
  }

  toFrames(event: ChatEvent): string[] {
    const begin = this.#hasBegun ? [] : this.#begin();
    if (event.type === "started" || event.type === "prompt-token") return begin;
    const index = event.choice ?? 0;
    const choice = this.#choices[index]!;
    if (event.type === "logprobs") {
      choice.held.push(event);
      return begin;
    }
    if (event.type === "tokens") return [...begin, this.#frame(index, { text: "", token_ids: event.tokenIds })];
    if (event.type === "finished") choice.usage = event.usage;
    const text = event.type === "content" ? event.text : "";
    const logprobs = toLogprobs(choice.held.splice(0).map(toScored), choice.textLength);
    choice.textLength += text.length;
    return [...begin, this.#frame(index, { text, logprobs, finish_reason: event.type === "finished" ? event.reason : null })];
  }

  *end(): Generator<string> {
    const usages = this.#choices.map(({ usage }) => usage).filter((usage) => usage !== undefined);
    if (usages.length < this.#choices.length) throw endedEarly();
    if (this.#includeUsage) {
      yield toFrame({ ...this.#head, object: "text_completion", choices: [], usage: toUsage(sumOfPrompts(usages, this.#choiceCount)) });
    }
    yield toFrame("[DONE]");
  }

  fail(error: unknown): string[] {
    return [toFrame(toErrorAnswer(error).body)];
  }

  #begin(): string[] {
    this.#hasBegun = true;
    return this.#echoes.flatMap((echo, index) => (echo === "" ? [] : [this.#frame(index, { text: echo })]));
  }

  #frame(index: number, choice: object): string {
    const choices = [{ index, logprobs: null, finish_reason: null, ...choice }];
    return toFrame({ ...this.#head, object: "text_completion", choices, ...(this.#includeUsage && { usage: null }) });
  }
}
