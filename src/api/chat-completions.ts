// POST /v1/chat/completions: request in, one JSON answer or a stream of chunks out.

import { randomUUID } from "node:crypto";
import type { Handler } from "hono";
import type { ChatService } from "../chat/complete.ts";
import type { ChatEvent, Usage } from "../core/events.ts";
import { collectAnswers, endedEarly, totalUsage } from "./answer.ts";
import { type AppOptions, defaultLimits } from "./app-options.ts";
import { toErrorAnswer } from "./error-envelope.ts";
import { Exchange, refuseUnlessReady, type StreamWriter } from "./exchange.ts";
import { toChat, toGenerationOptions } from "./from-openai.ts";
import { MediaParts } from "./media-parts.ts";
import { refuseOtherModel } from "./models.ts";
import { chatFields, parseChatRequest } from "./openai-schema.ts";
import { toOutputFormat } from "./output-format.ts";
import { readJsonObject } from "./read-json.ts";
import type { AppEnv } from "./request-record.ts";
import { toFrame } from "./sse.ts";
import { type AnswerHead, ChunkWriter, toChatCompletion, toUsageChunk } from "./to-openai.ts";
import { refuseHiddenRouting } from "./to-routing.ts";

export function chatCompletions(service: ChatService, options: AppOptions): Handler<AppEnv> {
  const limits = { ...defaultLimits, ...options.limits };
  return async function answerChat(c) {
    refuseUnlessReady(options.isReady);
    const request = parseChatRequest(await readJsonObject(c, limits.bodyBytes, chatFields));
    refuseOtherModel(request.model, options);
    refuseHiddenRouting(request.return_routing, options);
    const exchange = new Exchange(c);
    const chat = await toChat(request, options.defaultThinking, new MediaParts(limits, options.media, exchange.signal));
    const format = toOutputFormat(request, chat.toolUse);
    const generation = { ...toGenerationOptions(request, options.generationDefaults, c.get("cacheSalt")), ...(format && { format }) };

    const head = { id: `chatcmpl-${randomUUID().replaceAll("-", "")}`, created: Math.floor(Date.now() / 1000), model: options.modelId };
    const choiceCount = generation.choiceCount ?? 1;
    const events = exchange.complete(service, chat, generation);
    if (request.stream) return exchange.stream(events, new ChatStream(head, choiceCount, request.stream_options?.include_usage ?? false));
    return exchange.answer(events, async (all) =>
      toChatCompletion(head, await collectAnswers(all, choiceCount), generation.promptLogprobCount),
    );
  };
}

class ChatStream implements StreamWriter {
  readonly #head: AnswerHead;
  readonly #choiceCount: number;
  readonly #includeUsage: boolean;
  readonly #writer: ChunkWriter;
  readonly #usages: Usage[] = [];

  constructor(head: AnswerHead, choiceCount: number, includeUsage: boolean) {
    this.#head = head;
    this.#choiceCount = choiceCount;
    this.#includeUsage = includeUsage;
    this.#writer = new ChunkWriter(head, choiceCount, includeUsage);
  }

  toFrames(event: ChatEvent): string[] {
    if (event.type === "finished") this.#usages.push(event.usage);
    return this.#writer.toChunks(event).map(toFrame);
  }

  *end(): Generator<string> {
    if (this.#usages.length < this.#choiceCount) throw endedEarly();
    if (this.#includeUsage) yield toFrame(toUsageChunk(this.#head, totalUsage(this.#usages)));
    yield toFrame("[DONE]");
  }

  fail(error: unknown): string[] {
    return [toFrame(toErrorAnswer(error).body)];
  }
}
