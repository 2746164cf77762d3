// What all routes that generate an answer share: the client may leave, events are recorded, the answer is one JSON object or a stream.

import type { Context } from "hono";
import type { ChatService } from "../chat/complete.ts";
import type { Chat, GenerationOptions, TextPrompt } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import type { ChatEvent } from "../core/events.ts";
import { endedEarly } from "./answer.ts";
import { type AppEnv, clientGoneStatus, type RequestRecord } from "./request-record.ts";
import { sseBody } from "./sse.ts";

const retryWhenNotReadyMs = 1000;

/** How a route writes its stream of server-sent events. */
export type StreamWriter = {
  toFrames(event: ChatEvent): Iterable<string>;
  /** The frames after the last event. Throws EngineError when events are missing. */
  end(): Iterable<string>;
  /** The frames that end a stream after an error. */
  fail(error: unknown): Iterable<string>;
};

/** One request that the model answers, for a client that may leave. */
export class Exchange {
  readonly #context: Context<AppEnv>;
  readonly #record: RequestRecord;
  /** Aborted when the client has gone. */
  readonly #client: AbortController;

  constructor(context: Context<AppEnv>) {
    this.#context = context;
    this.#record = context.get("record");
    this.#client = controllerBehind(context.req.raw.signal);
  }

  /** Aborts when the client has gone. */
  get signal(): AbortSignal {
    return this.#client.signal;
  }

  /** The events of the answer to a chat, recorded. A route that passes its own `signal` must make it abort when this one does. */
  complete(service: ChatService, chat: Chat, options: GenerationOptions, signal = this.signal): AsyncIterable<ChatEvent> {
    const generation = this.#record.begin(options.choiceCount ?? 1);
    return service.complete(chat, options, signal, (event, choice) => generation.seeEngine(event, choice));
  }

  /** The same for texts that the model continues. */
  completeTexts(service: ChatService, prompts: readonly TextPrompt[], options: GenerationOptions): AsyncIterable<ChatEvent> {
    const generation = this.#record.begin(prompts.length * (options.choiceCount ?? 1));
    return service.completeTexts(prompts, options, this.signal, (event, choice) => generation.seeEngine(event, choice));
  }

  /** The answer as one JSON object. */
  async answer(events: AsyncIterable<ChatEvent>, toBody: (events: AsyncIterable<ChatEvent>) => Promise<object>): Promise<Response> {
    return this.#context.json(await toBody(this.#recorded(events)));
  }

  /** The answer as a stream. Headers are sent with the first event, so that a request refused before it still gets an error status. */
  async stream(events: AsyncIterable<ChatEvent>, writer: StreamWriter): Promise<Response> {
    const recorded = this.#recorded(events);
    const first = await recorded.next();
    if (first.done) throw endedEarly();
    this.#record.isStream = true;
    const onCancel = () => this.#client.abort();
    return this.#context.body(sseBody(this.#toFrames(first.value, recorded, writer), onCancel), 200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      // Keeps nginx from buffering the stream.
      "x-accel-buffering": "no",
    });
  }

  async *#toFrames(first: ChatEvent, rest: AsyncIterable<ChatEvent>, writer: StreamWriter): AsyncGenerator<string> {
    try {
      yield* writer.toFrames(first);
      for await (const event of rest) yield* writer.toFrames(event);
      yield* writer.end();
    } catch (error) {
      if (this.#client.signal.aborted) return;
      this.#record.fail(error);
      yield* writer.fail(error);
    } finally {
      this.#record.write(this.#client.signal.aborted ? clientGoneStatus : 200);
    }
  }

  async *#recorded(events: AsyncIterable<ChatEvent>): AsyncGenerator<ChatEvent> {
    for await (const event of events) {
      this.#record.see(event);
      yield event;
    }
  }
}

/** Throws RequestError (503) while the model cannot answer. */
export function refuseUnlessReady(isReady: () => boolean): void {
  if (isReady()) return;
  throw new RequestError("the server is not ready to answer; try again later", {
    status: 503,
    code: "not_ready",
    retryAfterMs: retryWhenNotReadyMs,
  });
}

/** A controller that aborts when the signal does, but always with an AbortError, and can also be aborted on its own. */
function controllerBehind(signal: AbortSignal): AbortController {
  const controller = new AbortController();
  if (signal.aborted) controller.abort();
  signal.addEventListener("abort", () => controller.abort(), { once: true });
  return controller;
}
