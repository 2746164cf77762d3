// Text completions as a stream of `text_completion` objects, which add up to the whole answer.

import type { ChatEvent, PromptToken, Usage } from "../core/events.ts";
import { type LogprobsEvent, totalUsage } from "./answer.ts";
import { toErrorAnswer } from "./error-envelope.ts";
import type { StreamWriter } from "./exchange.ts";
import { toFrame } from "./sse.ts";
import { type CompletionForm, TextOffsets, toEchoed, toLogprobs, toScored } from "./to-completion.ts";
import { toUsage } from "./to-openai.ts";

/** What has been sent of a choice, and the log-probabilities that wait for its text. */
type ChoiceState = { readonly offsets: TextOffsets; held: LogprobsEvent[]; usage: Usage | undefined };

/** The tokens of a prompt until its echo is sent, undefined afterwards. */
type PromptState = PromptToken[] | undefined;

export class CompletionStream implements StreamWriter {
  readonly #form: CompletionForm;
  readonly #includeUsage: boolean;
  readonly #choices: readonly ChoiceState[];
  readonly #prompts: PromptState[];

  constructor(form: CompletionForm, includeUsage: boolean) {
    const { echoes, choiceCount } = form;
    this.#form = form;
    this.#includeUsage = includeUsage;
    this.#choices = echoes.map(() => ({ offsets: new TextOffsets(), held: [], usage: undefined }));
    this.#prompts = Array.from({ length: echoes.length / choiceCount }, () => []);
  }

  toFrames(event: ChatEvent): string[] {
    if (event.type === "started") return []; // the echo waits for the first token, as a chat's role does, and for its log-probabilities
    const index = event.choice ?? 0;
    const prompt = Math.floor(index / this.#form.choiceCount);
    if (event.type === "prompt-token") {
      this.#prompts[prompt]?.push(event);
      return [];
    }
    const begin = this.#echo(prompt);
    const choice = this.#choices[index]!;
    if (event.type === "logprobs") {
      choice.held.push(event);
      return begin;
    }
    if (event.type === "tokens") return [...begin, this.#frame(index, { text: "", token_ids: event.tokenIds })];
    if (event.type === "finished") choice.usage = event.usage;
    const text = event.type === "content" ? event.text : "";
    const logprobs = toLogprobs(choice.held.splice(0).map(toScored), choice.offsets);
    return [...begin, this.#frame(index, { text, logprobs, finish_reason: event.type === "finished" ? event.reason : null })];
  }

  *end(): Generator<string> {
    const { head, choiceCount } = this.#form;
    const usage = totalUsage(this.#choices, choiceCount);
    if (this.#includeUsage) yield toFrame({ ...head, object: "text_completion", choices: [], usage: toUsage(usage) });
    yield toFrame("[DONE]");
  }

  fail(error: unknown): string[] {
    return [toFrame(toErrorAnswer(error).body)];
  }

  /** The frames that echo a prompt at the start of its answers. Empty the second time, and when nothing is echoed. */
  #echo(prompt: number): string[] {
    const tokens = this.#prompts[prompt];
    if (!tokens) return [];
    this.#prompts[prompt] = undefined;
    const { echoes, choiceCount, echoedLogprobCount } = this.#form;
    const scored = toEchoed(tokens, echoedLogprobCount);
    return Array.from({ length: choiceCount }, (_, k) => prompt * choiceCount + k).flatMap((index) => {
      const text = echoes[index]!;
      const logprobs = toLogprobs(scored, this.#choices[index]!.offsets);
      return text === "" ? [] : [this.#frame(index, { text, logprobs })];
    });
  }

  #frame(index: number, choice: object): string {
    const choices = [{ index, logprobs: null, finish_reason: null, ...choice }];
    return toFrame({ ...this.#form.head, object: "text_completion", choices, ...(this.#includeUsage && { usage: null }) });
  }
}
