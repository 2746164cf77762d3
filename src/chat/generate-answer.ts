// Generates one answer. If thinking has a budget, or an output format follows it, the answer takes two runs of the engine: the thinking, then the
// rest with the thinking as part of the prompt, which is still in the engine's cache.

import type { GenerationOptions } from "../core/chat.ts";
import { EngineError } from "../core/errors.ts";
import type { AnswerPart, ChatEvent, GenerationEvent, Usage } from "../core/events.ts";
import type { EncodedPrompt } from "../core/prompt.ts";
import { addRouting, type SequenceRouting } from "../core/routing.ts";
import type { FinishReason, PromptTokenLogprobs } from "../core/sampling.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";
import type { EngineRequest } from "../engine/engine-protocol.ts";
import { extendPrompt } from "./extend-prompt.ts";
import type { OutputParser } from "./output-parser.ts";
import type { SpellLogprobs } from "./spell-logprobs.ts";

/** The part of the engine that chat uses. */
export type TokenSource = {
  /**
   * Leaving the loop ends the generation, and so does `signal`, whose reason the loop then throws. `onEvent` gets each event as it arrives, however
   * slowly the loop consumes them. When `enough` aborts, the answer ends normally.
   */
  submit(
    request: EngineRequest,
    signal: AbortSignal,
    onEvent?: (event: GenerationEvent) => void,
    enough?: AbortSignal,
  ): AsyncIterable<GenerationEvent>;
};

export type AnswerPlan = {
  readonly prompt: EncodedPrompt;
  /** The output format of the answer, after any thinking. */
  readonly constraint: ConstraintHandle | undefined;
  /** Undefined: the model has no </think>. */
  readonly thinkingEnd: ThinkingEnd | undefined;
  readonly options: GenerationOptions;
  readonly spellLogprobs: SpellLogprobs;
  /** Whether the token is a control token that is not spelled out. */
  readonly isHidden: (tokenId: number) => boolean;
  readonly endTokenIds: readonly number[];
  /** Those of them that only the client asked for. In thinking, they end the whole answer. */
  readonly clientEndIds: readonly number[];
  /** In the first answer of a request: the number of answers that the request asks for. */
  readonly answerCount: number | undefined;
  /** Called at the first token, when the prompt has been computed. */
  readonly onFirstToken?: (() => void) | undefined;
  /** Called with each event of the engine as it arrives. */
  readonly onEvent?: ((event: GenerationEvent) => void) | undefined;
  /** The most tokens that prompt and answer can have together. */
  readonly contextLength: number;
};

export type ThinkingEnd = {
  /** Id of </think>. */
  readonly id: number;
  /** The tokens that end thinking when its budget is used up. */
  readonly closingIds: readonly number[];
};

/**
 * The events of the answer, of which the last is `finished`. Throws as the engine's loop does, and EngineError when a step failed. The caller closes
 * the constraint's port, which has no effect once the engine has taken it over.
 */
export async function* generateAnswer(
  engine: TokenSource,
  plan: AnswerPlan,
  output: OutputParser,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent, void> {
  const { prompt, constraint, thinkingEnd, endTokenIds, clientEndIds, options } = plan;
  const isTwoRuns = output.isThinking && thinkingEnd !== undefined && (options.thinkingBudget !== undefined || constraint !== undefined);
  const answer = new Answer(plan, output, (request, enough) => engine.submit(request, signal, plan.onEvent, enough));
  if (!isTwoRuns) return yield* answer.finish(yield* answer.run({ prompt, constraint }));

  const end = yield* answer.run({ prompt, tokenLimit: options.thinkingBudget, moreEndIds: [thinkingEnd.id] });
  const lastId = answer.generatedIds.at(-1)!;
  if (end === "stop" && clientEndIds.includes(lastId)) return yield* answer.finish(end);
  const hasEndedThinking = end === "stop" && lastId === thinkingEnd.id;
  const hasUsedBudget = end === "length";
  const hasForgottenAnswer = end === "stop" && !hasEndedThinking && constraint !== undefined;
  if (!hasEndedThinking && !hasUsedBudget && !hasForgottenAnswer) return yield* answer.finish(end);
  const closingIds = hasEndedThinking ? [] : thinkingEnd.closingIds;
  if (answer.remaining <= closingIds.length) return yield* answer.finish("length");
  yield* answer.put(closingIds);
  const thought = answer.generatedIds.filter((id) => !endTokenIds.includes(id)); // nothing may follow an end token
  yield* answer.finish(yield* answer.run({ prompt: extendPrompt(prompt, thought), constraint }));
}

type Run = {
  readonly prompt: EncodedPrompt;
  /** The limit of this run, in addition to the answer's. */
  readonly tokenLimit?: number | undefined;
  /** Ids that end this run, in addition to the answer's. */
  readonly moreEndIds?: readonly number[];
  readonly constraint?: ConstraintHandle | undefined;
};

/** How a run ended. `stopped`: the parser ended it because of the text. */
type RunEnd = FinishReason | "stopped";

type Submit = (request: EngineRequest, enough: AbortSignal) => AsyncIterable<GenerationEvent>;

class Answer {
  /** All tokens of the answer so far. */
  readonly generatedIds: number[] = [];
  readonly #plan: AnswerPlan;
  readonly #output: OutputParser;
  readonly #submit: Submit;
  readonly #tokenLimit: number;
  readonly #promptTokens: number;
  readonly #imageTokens: number;
  #cachedTokens: number | undefined;
  #promptTokensTold = 0;
  #routing: SequenceRouting | undefined;

  constructor(plan: AnswerPlan, output: OutputParser, submit: Submit) {
    const { prompt, options, contextLength } = plan;
    this.#plan = plan;
    this.#output = output;
    this.#submit = submit;
    this.#promptTokens = prompt.tokenIds.length;
    this.#imageTokens = prompt.spans.reduce((sum, span) => sum + span.length, 0);
    this.#tokenLimit = Math.min(options.maxTokens ?? Infinity, contextLength - this.#promptTokens);
  }

  /** The number of tokens that the answer may still have. */
  get remaining(): number {
    return this.#tokenLimit - this.generatedIds.length;
  }

  async *run({ prompt, tokenLimit = Infinity, moreEndIds = [], constraint }: Run): AsyncGenerator<ChatEvent, RunEnd> {
    const { endTokenIds, options, answerCount } = this.#plan;
    const isFirst = this.generatedIds.length === 0;
    const missing = (options.minTokens ?? 0) - this.generatedIds.length;
    const request: EngineRequest = {
      prompt,
      sampling: options.sampling,
      ...(!isFirst && { generatedCount: prompt.tokenIds.length - this.#promptTokens }),
      maxTokens: Math.min(tokenLimit, this.remaining),
      stopTokenIds: [...endTokenIds, ...moreEndIds],
      ...(options.logprobCount !== undefined && { logprobCount: options.logprobCount }),
      ...(missing > 0 && { notBefore: { tokenCount: missing, tokenIds: endTokenIds } }),
      ...(options.cacheSalt !== undefined && { cacheSalt: options.cacheSalt }),
      ...(options.clientId !== undefined && { clientId: options.clientId }),
      ...(options.priority !== undefined && { priority: options.priority }),
      ...(isFirst && answerCount !== undefined ? { answerCount } : { isFollowUp: true }),
      ...(isFirst && options.promptLogprobCount !== undefined && { promptLogprobCount: options.promptLogprobCount }),
      ...(constraint && { constraint }),
      ...(options.returnsRouting && { wantsRouting: true }),
    };
    const enough = new AbortController();
    for await (const event of this.#submit(request, enough.signal)) {
      if (event.type === "started") {
        if (isFirst) yield this.#start(event.cachedTokens);
        if (request.promptLogprobCount !== undefined) yield this.#promptToken(undefined);
      } else if (event.type === "prompt-logprobs") {
        for (const logprobs of event.logprobs) yield this.#promptToken(logprobs);
      } else if (event.type === "token") {
        if (enough.signal.aborted) continue;
        if (this.generatedIds.length === 0) this.#plan.onFirstToken?.();
        if (event.logprobs && (options.tellsEndLogprob || !endTokenIds.includes(event.tokenId))) {
          const spelled = this.#plan.spellLogprobs(event.tokenId, event.logprobs);
          yield { type: "logprobs", ...spelled, ...(this.#plan.isHidden(event.tokenId) && { isHidden: true }) };
        }
        yield* this.#take(event.tokenId, this.#output.push(event.tokenId));
        if (!this.#output.isStopped) continue;
        if (!options.returnsRouting) return "stopped";
        enough.abort(); // the routing comes with the end
      } else if (event.type === "finished") {
        this.#addRouting(event.routing);
        return enough.signal.aborted ? "stopped" : event.reason;
      } else throw new EngineError(`the engine could not go on: ${event.message}`);
    }
    throw new EngineError("the engine ended an answer without saying why");
  }

  /** Adds tokens to the answer that the model did not choose. They count towards its limit, because they take up context. */
  *put(tokenIds: readonly number[]): Generator<ChatEvent> {
    for (const tokenId of tokenIds) yield* this.#take(tokenId, this.#output.put(tokenId));
  }

  *#take(tokenId: number, parts: readonly AnswerPart[]): Generator<ChatEvent> {
    this.generatedIds.push(tokenId);
    if (this.#plan.options.returnsTokenIds) yield { type: "tokens", tokenIds: [tokenId] };
    yield* parts;
  }

  *finish(end: RunEnd): Generator<ChatEvent> {
    const output = this.#output;
    if (end !== "stopped") yield* output.flush();
    // Text that was held back may end with a stop string. A call that the limit cuts off is returned incomplete.
    const reason = end === "length" && output.stopString === undefined ? "length" : output.callCount > 0 ? "tool_calls" : "stop";
    const usage: Usage = {
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens ?? 0,
      imageTokens: this.#imageTokens,
      completionTokens: this.generatedIds.length,
      reasoningTokens: output.reasoningTokenCount,
    };
    const { stopString } = output;
    const routing = this.#routing;
    yield { type: "finished", reason, usage, ...(stopString !== undefined && { stopString }), ...(routing && { routing }) };
  }

  /** The event of the next prompt token. The first token has no log-probabilities. */
  #promptToken(logprobs: PromptTokenLogprobs | undefined): ChatEvent {
    const tokenId = this.#plan.prompt.tokenIds[this.#promptTokensTold++]!;
    const { chosen, top } = this.#plan.spellLogprobs(tokenId, logprobs ?? { logprob: 0, top: [] });
    const topWithIds = top.map((token, i) => ({ ...token, tokenId: logprobs!.top[i]!.tokenId }));
    return { type: "prompt-token", tokenId, ...chosen, logprob: logprobs?.logprob, rank: logprobs?.rank, top: topWithIds };
  }

  #addRouting(routing: SequenceRouting | undefined): void {
    if (routing) this.#routing = this.#routing ? addRouting(this.#routing, routing) : routing;
  }

  #start(cachedTokens: number): ChatEvent {
    const { prompt, options } = this.#plan;
    this.#cachedTokens = cachedTokens;
    return {
      type: "started",
      promptTokens: this.#promptTokens,
      imageTokens: this.#imageTokens,
      cachedTokens,
      ...(options.returnsTokenIds && { promptTokenIds: [...prompt.tokenIds] }),
    };
  }
}
