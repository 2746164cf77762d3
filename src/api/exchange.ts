// What the routes that answer with the model have in common: a client that may leave, events that are recorded, one JSON object or a stream.

import type { Context } from "hono";
import type { ChatService } from "../chat/complete.ts";
import type { Chat, GenerationOptions, TextPrompt } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import type { ChatEvent } from "../core/events.ts";
import { endedEarly } from "./answer.ts";
import { type AppEnv, clientGoneStatus, type RequestRecord } from "./request-record.ts";
import { sseBody } from "./sse.ts";

const retryWhenNotReadyMs = 1000;

/** How a route writes its stream, in frames of server-sent events. */
export type StreamWriter = {
  toFrames(event: ChatEvent): Iterable<string>;
  /** What comes behind the last event. Throws EngineError when events are missing. */
  end(): Iterable<string>;
  /** The stream breaks off. */
  fail(error: unknown): Iterable<string>;
};

/** One request that the model works on, for a client that may leave. */
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

  /** Aborts when the client has gone: nobody wants the answer any more. */
  get signal(): AbortSignal {
    return this.#client.signal;
  }

  /** The events of the answer to a chat, recorded. A `signal` of the route's own must abort when this one does. */
  complete(service: ChatService, chat: Chat, options: GenerationOptions, signal = this.signal): AsyncIterable<ChatEvent> {
    const generation = this.#record.begin(options.choiceCount ?? 1);
    return service.complete(chat, options, signal, (event, choice) => generation.seeEngine(event, choice));
  }

  /** Likewise of what the model adds to texts. */
  completeTexts(service: ChatService, prompts: readonly TextPrompt[], options: GenerationOptions): AsyncIterable<ChatEvent> {
    const generation = this.#record.begin(prompts.length * (options.choiceCount ?? 1));
    return service.completeTexts(prompts, options, this.signal, (event, choice) => generation.seeEngine(event, choice));
  }

  /** The answer as one JSON object. */
  async answer(events: AsyncIterable<ChatEvent>, toBody: (events: AsyncIterable<ChatEvent>) => Promise<object>): Promise<Response> {
    return this.#unlessGone(async () => this.#context.json(await toBody(this.#recorded(events))));
  }

  /** The answer as a stream. Headers go out with the first event: a request refused before it still gets a status of its own. */
  async stream(events: AsyncIterable<ChatEvent>, writer: StreamWriter): Promise<Response> {
    return this.#unlessGone(async () => {
      const recorded = this.#recorded(events);
      const first = await recorded.next();
      if (first.done) throw endedEarly();
      this.#record.isStream = true;
      const onCancel = () => {
        this.#client.abort();
        this.#record.write(clientGoneStatus);
        void recorded.return(undefined);
      };
      return this.#context.body(sseBody(this.#toFrames(first.value, recorded, writer), onCancel), 200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        // nginx would otherwise collect the stream before passing it on.
        "x-accel-buffering": "no",
      });
    });
  }

  async #unlessGone(answer: () => Promise<Response>): Promise<Response> {
    try {
      return await answer();
    } catch (error) {
      if (!this.#client.signal.aborted) throw error;
      return new Response(null, { status: clientGoneStatus });
    }
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

/** Aborts when the signal does, and can be aborted by others. */
function controllerBehind(signal: AbortSignal): AbortController {
  const controller = new AbortController();
  if (signal.aborted) controller.abort();
  signal.addEventListener("abort", () => controller.abort(), { once: true });
  return controller;
}
