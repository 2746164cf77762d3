// POST /v1/responses: request in, one response or a stream of events out.

import type { Handler } from "hono";
import type { ChatService } from "../../chat/complete.ts";
import type { ChatEvent } from "../../core/events.ts";
import type { RouteOptions } from "../app-options.ts";
import { Exchange, refuseUnlessReady, type StreamWriter } from "../exchange.ts";
import { MediaParts } from "../media-parts.ts";
import { readRequest } from "../read-json.ts";
import type { AppEnv } from "../request-record.ts";
import { toNamedFrame } from "../sse.ts";
import { toOwnError } from "./chat-terms.ts";
import type { Item } from "./input-items.ts";
import { readQuestion } from "./question.ts";
import { parseResponsesRequest, responsesFields } from "./request.ts";
import { ResponseBuilder } from "./response-builder.ts";
import { itemId, type ResponseObject, toResponseHead } from "./response-object.ts";
import type { ResponseStore } from "./response-store.ts";
import type { ToldTool } from "./tools.ts";

export function createResponse(service: ChatService, options: RouteOptions, store: ResponseStore): Handler<AppEnv> {
  return async function answerWithResponse(c) {
    refuseUnlessReady(options.isReady);
    const request = await readRequest(c, options, responsesFields, parseResponsesRequest);
    const client = c.get("cacheSalt");
    const exchange = new Exchange(c);
    const media = new MediaParts(options.limits, options.media, exchange.signal);
    const { chat, generation, input, tools } = await readQuestion(request, { store, client, media, options });

    const isStored = store.capacity > 0 && (request.store ?? true);
    const head = toResponseHead(request, generation, options.modelId, isStored);
    const builder = new ResponseBuilder(head, tools, request.include?.includes("reasoning.encrypted_content"));
    const cancelling = new AbortController();
    const keep = (): ResponseObject => {
      const { response } = builder;
      const isKept = cancelling.signal.aborted; // since it was cancelled, as the store takes a response once
      if (isStored && !isKept) store.keep(client, { response, input: input.map(({ item }, index) => withId(item, head.id, index)) });
      return response;
    };

    const stopRunning = store.run(client, head.id, () => {
      builder.cancel();
      const response = keep();
      cancelling.abort();
      return response;
    });
    const events = untilCancelled(exchange.complete(service, chat, generation, AbortSignal.any([exchange.signal, cancelling.signal])), {
      signal: cancelling.signal,
      onEnd: stopRunning,
      tools,
    });
    if (request.stream) return exchange.stream(events, toStreamWriter(builder, keep));
    return exchange.answer(events, async (all) => {
      for await (const event of all) builder.push(event);
      builder.end();
      return keep();
    });
  };
}

function withId(item: Item, responseId: string, index: number): Item {
  return { ...item, id: item.id ?? itemId(item.type, responseId, `in${index}`) };
}

/** The events, with errors that name the fields of this API. After a cancellation they end normally. */
async function* untilCancelled(
  events: AsyncIterable<ChatEvent>,
  { signal, onEnd, tools }: { readonly signal: AbortSignal; readonly onEnd: () => void; readonly tools: readonly ToldTool[] },
): AsyncGenerator<ChatEvent> {
  try {
    yield* events;
  } catch (error) {
    if (!signal.aborted) throw toOwnError(error, tools);
  } finally {
    onEnd();
  }
}

/**
 * The stream ends with the last event, without `[DONE]`. `onEnd` runs before the client sees the end, because its next request may continue this
 * response.
 */
function toStreamWriter(builder: ResponseBuilder, onEnd: () => void): StreamWriter {
  return {
    toFrames: (event) => builder.push(event).map(toNamedFrame),
    end: () => {
      const frames = builder.end().map(toNamedFrame);
      onEnd();
      return frames;
    },
    fail: (error) => {
      const frames = builder.fail(error).map(toNamedFrame);
      onEnd();
      return frames;
    },
  };
}
