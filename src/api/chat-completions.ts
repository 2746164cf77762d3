// POST /v1/chat/completions: request in, one JSON answer or a stream of chunks out.

import { randomUUID } from "node:crypto";
import type { Context, Handler } from "hono";
import type { ChatService } from "../chat/complete.ts";
import type { ChatEvent, Usage } from "../core/events.ts";
import { RequestError } from "../core/errors.ts";
import { collectAnswers, endedEarly, totalUsage } from "./answer.ts";
import { type AppOptions, defaultLimits } from "./app-options.ts";
import { toErrorAnswer } from "./error-envelope.ts";
import { toChat, toGenerationOptions } from "./from-openai.ts";
import { refuseOtherModel } from "./models.ts";
import { parseChatRequest } from "./openai-schema.ts";
import { toOutputFormat } from "./output-format.ts";
import { readJsonObject } from "./read-json.ts";
import { type AppEnv, clientGoneStatus, type RequestRecord } from "./request-record.ts";
import { sseBody, toFrame } from "./sse.ts";
import { type AnswerHead, ChunkWriter, toChatCompletion, toUsageChunk } from "./to-openai.ts";

const retryWhenNotReadyMs = 1000;

/** One request under way: what its answer starts with, its events and its client. */
type Exchange = {
  readonly head: AnswerHead;
  readonly choiceCount: number;
  readonly includeUsage: boolean;
  readonly events: AsyncGenerator<ChatEvent>;
  /** Aborted when the client has gone. */
  readonly client: AbortController;
  readonly record: RequestRecord;
};

export function chatCompletions(service: ChatService, options: AppOptions): Handler<AppEnv> {
  const limits = { ...defaultLimits, ...options.limits };
  return async function answerChat(c) {
    if (!options.isReady()) throw notReady();
    const request = parseChatRequest(await readJsonObject(c.req.raw, limits.bodyBytes));
    refuseOtherModel(request.model, options.modelId);
    const chat = toChat(request, options.defaultThinking, limits);
    const format = toOutputFormat(request, chat.toolUse);
    const generation = { ...toGenerationOptions(request, options.generationDefaults, c.get("cacheSalt")), ...(format && { format }) };

    const record = c.get("record");
    const client = controllerBehind(c.req.raw.signal);
    const head = { id: `chatcmpl-${randomUUID().replaceAll("-", "")}`, created: Math.floor(Date.now() / 1000), model: options.modelId };
    try {
      const events = recorded(service.complete(chat, generation, client.signal), record);
      const choiceCount = generation.choiceCount ?? 1;
      const includeUsage = request.stream_options?.include_usage ?? false;
      if (request.stream) return await streamAnswer(c, { head, choiceCount, includeUsage, events, client, record });
      return c.json(toChatCompletion(head, await collectAnswers(events, choiceCount)));
    } catch (error) {
      if (!client.signal.aborted) throw error;
      return new Response(null, { status: clientGoneStatus });
    }
  };
}

/** Headers go out with the first event: a request refused before it still gets a status of its own. */
async function streamAnswer(c: Context<AppEnv>, exchange: Exchange): Promise<Response> {
  const { events, client, record } = exchange;
  const first = await events.next();
  if (first.done) throw endedEarly();
  record.endsWithBody = true;
  const onCancel = () => {
    client.abort();
    record.write(clientGoneStatus);
    void events.return(undefined);
  };
  return c.body(sseBody(toFrames(first.value, exchange), onCancel), 200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    // nginx would otherwise collect the stream before passing it on.
    "x-accel-buffering": "no",
  });
}

async function* toFrames(first: ChatEvent, exchange: Exchange): AsyncGenerator<string> {
  const { head, choiceCount, includeUsage, events, client, record } = exchange;
  const writer = new ChunkWriter(head, choiceCount, includeUsage);
  const usages: Usage[] = [];
  try {
    for (const chunk of writer.toChunks(first)) yield toFrame(chunk);
    for await (const event of events) {
      for (const chunk of writer.toChunks(event)) yield toFrame(chunk);
      if (event.type === "finished") usages.push(event.usage);
    }
    if (usages.length < choiceCount) throw endedEarly();
    if (includeUsage) yield toFrame(toUsageChunk(head, totalUsage(usages)));
    yield toFrame("[DONE]");
  } catch (error) {
    if (client.signal.aborted) return;
    record.fail(error);
    yield toFrame(toErrorAnswer(error).body);
  } finally {
    record.write(client.signal.aborted ? clientGoneStatus : 200);
  }
}

async function* recorded(events: AsyncIterable<ChatEvent>, record: RequestRecord): AsyncGenerator<ChatEvent> {
  for await (const event of events) {
    record.see(event);
    yield event;
  }
}

/** Aborts when the signal does, and can be aborted by others. */
function controllerBehind(signal: AbortSignal): AbortController {
  const controller = new AbortController();
  if (signal.aborted) controller.abort();
  signal.addEventListener("abort", () => controller.abort(), { once: true });
  return controller;
}

function notReady(): RequestError {
  return new RequestError("the server is not ready to answer; try again later", {
    status: 503,
    code: "not_ready",
    retryAfterMs: retryWhenNotReadyMs,
  });
}
