// POST /v1/messages and POST /v1/messages/count_tokens: Anthropic's API.

import type { Handler } from "hono";
import type { ChatService } from "../../chat/complete.ts";
import type { ChatEvent } from "../../core/events.ts";
import { withoutAnswers } from "../answer.ts";
import type { RouteOptions } from "../app-options.ts";
import { Exchange, refuseUnlessReady, type StreamWriter } from "../exchange.ts";
import { MediaParts } from "../media-parts.ts";
import { randomId } from "../random-id.ts";
import { readRequest } from "../read-json.ts";
import type { AppEnv } from "../request-record.ts";
import { toNamedFrame } from "../sse.ts";
import { collectMessage } from "./collect-message.ts";
import { toMessagesError } from "./error-envelope.ts";
import { toChat, toOptions } from "./from-anthropic.ts";
import { MessageWriter } from "./message-writer.ts";
import { messageFields, parseMessageRequest, parsePromptRequest } from "./request-schema.ts";

export function createMessage(service: ChatService, options: RouteOptions): Handler<AppEnv> {
  return async function answerMessage(c) {
    refuseUnlessReady(options.isReady);
    const request = await readRequest(c, options, messageFields, parseMessageRequest);
    const exchange = new Exchange(c);
    const chat = await toChat(request, options.defaultThinking, new MediaParts(options.limits, options.media, exchange.signal));
    const generation = toOptions(request, chat.toolUse, options.generationDefaults, c.get("cacheSalt"));

    const writer = new MessageWriter({ id: `msg_${randomId()}`, model: options.modelId, maxTokens: request.max_tokens });
    const answered = exchange.complete(service, chat, generation);
    const events = request.max_tokens === 0 ? withoutAnswers(answered) : answered;
    if (request.stream) return exchange.stream(events, new MessageStream(writer, c.get("record").id));
    return exchange.answer(events, (all) => collectMessage(all, writer));
  };
}

export function countTokens(service: ChatService, options: RouteOptions): Handler<AppEnv> {
  return async function answerCount(c) {
    const { signal } = new Exchange(c);
    const media = new MediaParts(options.limits, options.media, signal);
    const request = await readRequest(c, options, messageFields, parsePromptRequest);
    const tokens = await service.encodeChat(await toChat(request, options.defaultThinking, media), signal);
    return c.json({ input_tokens: tokens.length });
  };
}

class MessageStream implements StreamWriter {
  readonly #writer: MessageWriter;
  readonly #requestId: string;

  constructor(writer: MessageWriter, requestId: string) {
    this.#writer = writer;
    this.#requestId = requestId;
  }

  *toFrames(event: ChatEvent): Generator<string> {
    for (const written of this.#writer.write(event)) yield toNamedFrame(written);
  }

  end(): string[] {
    this.#writer.end();
    return [];
  }

  fail(error: unknown): string[] {
    return [toNamedFrame(toMessagesError(error, this.#requestId).body)];
  }
}
