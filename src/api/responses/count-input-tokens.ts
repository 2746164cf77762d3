// POST /v1/responses/input_tokens: how long a prompt is, without an answer.

import type { Handler } from "hono";
import type { ChatService } from "../../chat/complete.ts";
import type { RouteOptions } from "../app-options.ts";
import { Exchange } from "../exchange.ts";
import { MediaParts } from "../media-parts.ts";
import { readRequest } from "../read-json.ts";
import type { AppEnv } from "../request-record.ts";
import { readQuestion } from "./question.ts";
import { parseResponsesRequest, responsesFields } from "./request.ts";
import type { ResponseStore } from "./response-store.ts";

export function countInputTokens(service: ChatService, options: RouteOptions, store: ResponseStore): Handler<AppEnv> {
  return async function answerCount(c) {
    const { signal } = new Exchange(c);
    const request = await readRequest(c, options, responsesFields, parseResponsesRequest);
    const media = new MediaParts(options.limits, options.media, signal);
    const { chat } = await readQuestion(request, { store, client: c.get("cacheSalt"), media, options });
    const tokens = await service.encodeChat(chat, signal);
    return c.json({ object: "response.input_tokens", input_tokens: tokens.length });
  };
}
