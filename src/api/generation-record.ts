// Records the answers to one request: tokens, times and finish reasons. Metrics are counted as events happen, so that they include answers
// whose client has left.

import { monotonicMs } from "../core/clock.ts";
import type { AnswerEnd, ChatEvent, GenerationEvent } from "../core/events.ts";
import type { ServerMetrics } from "./metrics.ts";

/** When things happened to one answer, by `monotonicMs`. */
export type AnswerTimes = {
  /** The prompt and its pictures are ready and go to the engine. */
  readonly sentMs: number;
  /** The answer has a slot. */
  readonly startedMs: number;
  firstTokenMs?: number;
  lastTokenMs?: number;
  tokenCount: number;
};

type PromptFigures = Pick<ChatEvent & { type: "started" }, "promptTokens" | "imageTokens" | "cachedTokens">;

export class GenerationRecord {
  readonly choiceCount: number;
  readonly #metrics: ServerMetrics;
  readonly #arrivalMs: number;
  readonly #answers = new Map<number, AnswerTimes>();
  readonly #finishReasons: AnswerEnd[] = [];
  #prompt: PromptFigures | undefined;
  #outputTokens = 0;
  /** The first token of any answer. */
  #firstTokenMs: number | undefined;

  /** `arrivalMs`: when the request arrived, by `monotonicMs`. */
  constructor(metrics: ServerMetrics, arrivalMs: number, choiceCount: number) {
    this.#metrics = metrics;
    this.#arrivalMs = arrivalMs;
    this.choiceCount = choiceCount;
  }

  /** One entry per answer. */
  get times(): readonly AnswerTimes[] {
    return [...this.#answers.values()];
  }

  get finishReasons(): readonly AnswerEnd[] {
    return this.#finishReasons;
  }

  get prompt(): PromptFigures | undefined {
    return this.#prompt;
  }

  /** Tokens of the answers that have ended. */
  get outputTokens(): number {
    return this.#outputTokens;
  }

  /** Tokens that left the engine, including those of answers that have not ended or never will. */
  get generatedTokens(): number {
    return sum(this.times, ({ tokenCount }) => tokenCount);
  }

  /** Records an event of the answer. */
  see(event: ChatEvent): void {
    if (event.type === "started") {
      const { promptTokens, imageTokens, cachedTokens } = event;
      this.#metrics.promptRead({ promptTokens, imageTokens, cachedTokens });
      const before = this.#prompt ?? { promptTokens: 0, imageTokens: 0, cachedTokens: 0 }; // from the request's other prompts
      this.#prompt = {
        promptTokens: before.promptTokens + promptTokens,
        imageTokens: before.imageTokens + imageTokens,
        cachedTokens: before.cachedTokens + cachedTokens,
      };
    } else if (event.type === "finished") {
      this.#outputTokens += event.usage.completionTokens;
      this.#finishReasons.push(event.reason);
      this.#metrics.finished(event.reason);
    }
  }

  /** Records the time of an event of the engine. Must be called as soon as it arrives. */
  seeEngine(event: GenerationEvent, choice: number): void {
    const times = this.#answers.get(choice);
    if (event.type === "started") {
      this.#metrics.queued(event.queuedMs);
      // A second `started` begins the run after thinking.
      if (!times) this.#answers.set(choice, { sentMs: event.sentMs, startedMs: event.sentMs + event.queuedMs, tokenCount: 0 });
    } else if (event.type === "token" && times) {
      this.#seeToken(times, monotonicMs());
    }
  }

  #seeToken(times: AnswerTimes, nowMs: number): void {
    if (this.#firstTokenMs === undefined) {
      this.#firstTokenMs = nowMs;
      this.#metrics.firstToken(nowMs - this.#arrivalMs);
    }
    this.#metrics.token(times.lastTokenMs === undefined ? undefined : nowMs - times.lastTokenMs);
    times.firstTokenMs ??= nowMs;
    times.lastTokenMs = nowMs;
    times.tokenCount++;
  }

  /** Must be called once, when the request is over. `errorStatus` is the status of the error that ended it. */
  end({ isAborted, errorStatus, totalMs }: { isAborted: boolean; errorStatus: number | undefined; totalMs: number }): void {
    if (this.#finishReasons.length === this.choiceCount) this.#metrics.answered(totalMs);
    else if (isAborted || errorStatus === undefined) this.#metrics.finished("abort");
    // A request refused before it began does not count as an answer.
    else if (errorStatus >= 500 || this.#prompt) this.#metrics.finished("error");
  }

  /** Fields for the log. Times are in milliseconds; what did not happen is left out. */
  figures(): Record<string, unknown> {
    const times = this.times;
    const decodeMs = sum(times, ({ firstTokenMs = 0, lastTokenMs = 0 }) => lastTokenMs - firstTokenMs);
    const intervals = sum(times, ({ tokenCount }) => Math.max(tokenCount - 1, 0));
    return {
      choices: this.choiceCount,
      ...this.#prompt,
      ...(this.#finishReasons.length > 0 && { outputTokens: this.#outputTokens, finishReason: this.#finishReasons.at(-1) }),
      ...(times[0] && { queueMs: roundMs(times[0].startedMs - times[0].sentMs) }),
      ...(this.#firstTokenMs !== undefined && { firstTokenMs: roundMs(this.#firstTokenMs - this.#arrivalMs) }),
      ...(intervals > 0 && { interTokenMs: roundMs(decodeMs / intervals) }),
    };
  }
}

export function roundMs(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
