// Events of the engine → events of a response stream, and the response itself. An answer without a stream uses only the response.

import type { AnswerEnd, ChatEvent, Usage } from "../../core/events.ts";
import { toolCallTokens } from "../../core/structured-output.ts";
import { endedEarly, newCallId } from "../answer.ts";
import { toErrorAnswer } from "../error-envelope.ts";
import { toTokenLogprob } from "../to-openai.ts";
import { toPortable } from "./portable-thought.ts";
import { itemId, type OutputItem, type Progress, type ResponseHead, type ResponseObject, toResponseUsage } from "./response-object.ts";
import type { CallHead, OutputText, ReasoningText, SummaryText, TokenLogprob } from "./response-object.ts";
import { type CallForm, toInput, type ToldTool } from "./tools.ts";

/** The item being written. */
type Draft = {
  /** `summary`: an item of type reasoning, with the thinking in `summary` instead of `content`. */
  readonly type: OutputItem["type"] | "summary";
  readonly id: string;
  /** Used by calls. */
  readonly call: CallHead;
  /** The text of a message or of thinking, or the arguments of a call. */
  text: string;
  /** Used by messages. */
  readonly logprobs: TokenLogprob[];
};

const noCall = { call_id: "", name: "" };

export type ResponseEvent = ReturnType<ResponseBuilder["push"] | ResponseBuilder["end"] | ResponseBuilder["fail"]>[number];

/** Builds one response. Each call of `push`, `end` and `fail` returns the next events of the stream. */
export class ResponseBuilder {
  readonly #head: ResponseHead;
  /** By the name that the model knows. */
  readonly #forms: ReadonlyMap<string, CallForm>;
  readonly #carriesThoughts: boolean;
  #progress: Progress = { status: "in_progress", completed_at: null, incomplete_details: null, error: null, output: [], usage: null };
  #draft: Draft | undefined;
  #finished: { readonly reason: AnswerEnd; readonly usage: Usage } | undefined;
  #isCancelled = false;
  #eventCount = 0;
  /** Log-probabilities of tokens whose text has not arrived yet. */
  #waiting: TokenLogprob[] = [];

  /** `carriesThoughts`: thinking also gets `encrypted_content`. */
  constructor(head: ResponseHead, tools: readonly ToldTool[] = [], carriesThoughts = false) {
    this.#head = head;
    this.#carriesThoughts = carriesThoughts;
    this.#forms = new Map(tools.map(({ declaration, form }) => [declaration.name, form]));
  }

  /** The response in its current state. */
  get response(): ResponseObject {
    if (!this.#isCancelled) return { ...this.#head, ...this.#progress };
    const open = this.#draft ? [this.#toItem(this.#draft, "incomplete")] : [];
    return { ...this.#head, ...this.#progress, status: "cancelled", output: [...this.#progress.output, ...open] };
  }

  push(event: ChatEvent) {
    if (this.#isCancelled) return [];
    switch (event.type) {
      case "started":
        return [
          this.#event("response.created", { response: this.response }),
          this.#event("response.in_progress", { response: this.response }),
        ];
      case "logprobs":
        this.#waiting.push(toTokenLogprob(event));
        return [];
      case "reasoning":
        this.#waiting = [];
        return [...this.#enter(this.#head.reasoning.summary ? "summary" : "reasoning"), ...this.#addText(event.text)];
      case "content":
        return [...this.#enter("message"), ...this.#addText(event.text)];
      case "tool-call":
        this.#waiting = [];
        return [...this.#close("completed"), ...this.#openCall(event.name)];
      case "tool-arguments":
        this.#waiting = [];
        return this.#addText(event.text);
      case "tokens":
      case "prompt-token":
        return [];
      case "finished":
        this.#finished = event;
        return [];
    }
  }

  /** Ends the response with what it has so far. Later events are ignored. */
  cancel(): void {
    this.#isCancelled = true;
  }

  /** The last events of the stream. Throws EngineError when the answer broke off. */
  end() {
    if (this.#isCancelled) {
      return [...this.#close("incomplete"), this.#event("response.incomplete", { response: this.response })];
    }
    if (!this.#finished) throw endedEarly();
    const { reason, usage: used } = this.#finished;
    const usage = toResponseUsage(used);
    if (reason === "length") {
      const events = this.#close("incomplete");
      this.#progress = { ...this.#progress, status: "incomplete", incomplete_details: { reason: "max_output_tokens" }, usage };
      return [...events, this.#event("response.incomplete", { response: this.response })];
    }
    const events = this.#close("completed");
    this.#progress = { ...this.#progress, status: "completed", completed_at: Math.floor(Date.now() / 1000), usage };
    return [...events, this.#event("response.completed", { response: this.response })];
  }

  /** The last events of an answer that broke off. */
  fail(cause: unknown) {
    const { status, body } = toErrorAnswer(cause);
    const { code, message, param } = body.error;
    const events = this.#close("incomplete");
    const error = { code: status < 500 ? ("invalid_prompt" as const) : ("server_error" as const), message };
    this.#progress = { ...this.#progress, status: "failed", error };
    return [
      ...events,
      // `error` makes clients throw. They would take a stream that merely ends for a complete answer.
      this.#event("error", { code, message, param, error: body.error }),
      this.#event("response.failed", { response: this.response }),
    ];
  }

  #event<const Type extends string, Fields extends object>(type: Type, fields: Fields) {
    return { type, sequence_number: this.#eventCount++, ...fields };
  }

  #enter(type: "reasoning" | "summary" | "message") {
    return this.#draft?.type === type ? [] : [...this.#close("completed"), ...this.#open(type, noCall)];
  }

  #openCall(toldName: string) {
    const { type, name, namespace } = this.#forms.get(toldName) ?? { type: "function_call", name: toldName, namespace: undefined };
    return this.#open(type, { call_id: newCallId(), name, ...(namespace !== undefined && { namespace }) });
  }

  #open(type: Draft["type"], call: Draft["call"]) {
    const id = itemId(type === "summary" ? "reasoning" : type, this.#head.id, String(this.#index));
    const draft: Draft = { type, id, call, text: "", logprobs: [] };
    this.#draft = draft;
    const added = this.#event("response.output_item.added", { output_index: this.#index, item: this.#toItem(draft, "in_progress") });
    if (isCall(type)) return [added];
    if (type === "summary") {
      return [added, this.#event("response.reasoning_summary_part.added", { ...this.#summaryPlace(draft), part: toSummary(draft) })];
    }
    return [added, this.#event("response.content_part.added", { ...this.#place(draft), part: toPart(draft) })];
  }

  #addText(delta: string) {
    const draft = this.#draft!;
    draft.text += delta;
    if (draft.type === "custom_tool_call") return []; // its input is known only when the JSON is complete
    if (draft.type === "function_call") {
      return [this.#event("response.function_call_arguments.delta", { item_id: draft.id, output_index: this.#index, delta })];
    }
    if (draft.type === "summary") return [this.#event("response.reasoning_summary_text.delta", { ...this.#summaryPlace(draft), delta })];
    const place = this.#place(draft);
    if (draft.type === "reasoning") return [this.#event("response.reasoning_text.delta", { ...place, delta })];
    const logprobs = this.#takeLogprobs();
    draft.logprobs.push(...logprobs);
    return [this.#event("response.output_text.delta", { ...place, delta, logprobs })];
  }

  #close(status: "completed" | "incomplete") {
    const draft = this.#draft;
    if (!draft) return [];
    const { id, text, call } = draft;
    const [place, summaryPlace, output_index] = [this.#place(draft), this.#summaryPlace(draft), this.#index];
    const item = this.#toItem(draft, status);
    this.#draft = undefined;
    this.#progress = { ...this.#progress, output: [...this.#progress.output, item] };
    const done = () => this.#event("response.output_item.done", { output_index, item });
    if (draft.type === "function_call") {
      const fields = { item_id: id, output_index, name: call.name, arguments: text };
      return [this.#event("response.function_call_arguments.done", fields), done()];
    }
    if (item.type === "custom_tool_call") {
      const fields = { item_id: id, output_index };
      const { input } = item;
      const delta = input === "" ? [] : [this.#event("response.custom_tool_call_input.delta", { ...fields, delta: input })];
      return [...delta, this.#event("response.custom_tool_call_input.done", { ...fields, input }), done()];
    }
    if (draft.type === "summary") {
      return [
        this.#event("response.reasoning_summary_text.done", { ...summaryPlace, text }),
        this.#event("response.reasoning_summary_part.done", { ...summaryPlace, part: toSummary(draft) }),
        done(),
      ];
    }
    const whole =
      draft.type === "reasoning"
        ? this.#event("response.reasoning_text.done", { ...place, text })
        : this.#event("response.output_text.done", { ...place, text, logprobs: draft.logprobs });
    return [whole, this.#event("response.content_part.done", { ...place, part: toPart(draft) }), done()];
  }

  /** Only messages have log-probabilities; those of thinking, of calls and of the tokens that end them are dropped. */
  #takeLogprobs(): TokenLogprob[] {
    const waiting = this.#waiting.splice(0);
    return waiting.slice(waiting.findLastIndex(({ token }) => token === "</think>" || token === toolCallTokens.end) + 1);
  }

  /** An item that was just added has no content yet. */
  #toItem(draft: Draft, status: OutputItem["status"]): OutputItem {
    const { type, id, call, text } = draft;
    const isNew = status === "in_progress";
    if (type === "function_call") return { type, id, ...call, arguments: text, status };
    if (type === "custom_tool_call") return { type, id, ...call, input: toInput(text), status };
    if (type === "message") return { type, id, role: "assistant", content: isNew ? [] : [toTextPart(draft)], status };
    const summary = type === "summary" && !isNew ? [toSummary(draft)] : [];
    const content = type === "reasoning" && !isNew ? [{ type: "reasoning_text" as const, text }] : [];
    const item = { type: "reasoning" as const, id, summary, content, status };
    return this.#carriesThoughts && !isNew ? { ...item, encrypted_content: toPortable(text) } : item;
  }

  get #index(): number {
    return this.#progress.output.length;
  }

  #place({ id }: Draft) {
    return { item_id: id, output_index: this.#index, content_index: 0 };
  }

  #summaryPlace({ id }: Draft) {
    return { item_id: id, output_index: this.#index, summary_index: 0 };
  }
}

function isCall(type: Draft["type"]): boolean {
  return type === "function_call" || type === "custom_tool_call";
}

function toPart(draft: Draft): OutputText | ReasoningText {
  return draft.type === "reasoning" ? { type: "reasoning_text", text: draft.text } : toTextPart(draft);
}

function toSummary({ text }: Draft): SummaryText {
  return { type: "summary_text", text };
}

function toTextPart({ text, logprobs }: Draft): OutputText {
  return { type: "output_text", text, annotations: [], logprobs: [...logprobs] };
}
