// POST /v1/chat/completions: request in, one JSON answer or a stream of chunks out.

import type { Handler } from "hono";
import type { ChatService } from "../chat/complete.ts";
import { collectAnswers } from "./answer.ts";
import type { RouteOptions } from "./app-options.ts";
import { ChatStream } from "./chat-stream.ts";
import { Exchange, refuseUnlessReady } from "./exchange.ts";
import { toChat, toGenerationOptions } from "./from-openai.ts";
import { refuseManyLogprobs } from "./logprob-limit.ts";
import { MediaParts } from "./media-parts.ts";
import { chatFields, parseChatRequest } from "./openai-schema.ts";
import { toOutputFormat } from "./output-format.ts";
import { randomId } from "./random-id.ts";
import { readRequest } from "./read-json.ts";
import type { AppEnv } from "./request-record.ts";
import { toChatCompletion } from "./to-openai.ts";
import { refuseHiddenRouting } from "./to-routing.ts";

export function chatCompletions(service: ChatService, options: RouteOptions): Handler<AppEnv> {
  return async function answerChat(c) {
    refuseUnlessReady(options.isReady);
    const request = await readRequest(c, options, chatFields, parseChatRequest);
    refuseHiddenRouting(request.return_routing, options);
    const exchange = new Exchange(c);
    const chat = await toChat(request, options.defaultThinking, new MediaParts(options.limits, options.media, exchange.signal));
    const format = toOutputFormat(request, chat.toolUse);
    const generation = { ...toGenerationOptions(request, options.generationDefaults, c.get("cacheSalt")), ...(format && { format }) };
    if (!request.stream) refuseManyLogprobs(generation, options.contextLength);

    const head = { id: `chatcmpl-${randomId()}`, created: Math.floor(Date.now() / 1000), model: options.modelId };
    const choiceCount = generation.choiceCount ?? 1;
    const events = exchange.complete(service, chat, generation);
    if (request.stream) return exchange.stream(events, new ChatStream(head, choiceCount, request.stream_options?.include_usage ?? false));
    return exchange.answer(events, async (all) =>
      toChatCompletion(head, await collectAnswers(all, choiceCount), generation.promptLogprobCount),
    );
  };
}
