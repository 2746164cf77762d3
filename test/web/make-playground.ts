// A playground with a server that answers as told, and ways to wait for it.

import type { AnswerTurn } from "../../web/chat/conversation.ts";
import { Playground } from "../../web/chat/playground.ts";
import type { ChatRequest } from "../../web/chat/request.ts";
import { memoryStore } from "../../web/store/conversation-store.ts";
import { contentChunk, streamOf } from "./make-turns.ts";

export type Reply = (request: ChatRequest, signal: AbortSignal) => Response | Promise<Response>;

export const models = { data: [{ id: "nano", context_length: 4096, input_modalities: ["text", "image", "video"] }] };

export function makePlayground(reply: Reply = () => streamOf([contentChunk("Two stars.", "stop")])) {
  const asked: ChatRequest[] = [];
  const server = { reply, key: "", sentKeys: [] as (string | null)[] };
  const fetcher = async (path: string, init: RequestInit) => {
    server.sentKeys.push(new Headers(init.headers).get("authorization"));
    if (path === "v1/models") return Response.json(models);
    const request = JSON.parse(init.body as string) as ChatRequest;
    asked.push(request);
    return server.reply(request, init.signal!);
  };
  let ids = 0;
  const listeners: ((id: string) => void)[] = [];
  const store = {
    ...memoryStore(),
    onChange: (listener: (id: string) => void) => void listeners.push(listener),
    tellChange: (id: string) => listeners.forEach((listener) => listener(id)),
  };
  const playground = new Playground({
    store,
    connection: () => ({ fetch: fetcher as typeof fetch, key: server.key }),
    now: () => performance.now(),
    createId: () => `id-${ids++}`,
  });
  return { playground, asked, server, store };
}

export async function untilIdle(playground: Playground): Promise<AnswerTurn> {
  while (playground.state.run) await new Promise((resolve) => setTimeout(resolve, 1));
  return playground.state.conversation.turns.at(-1) as AnswerTurn;
}

/** A reply that never comes, until it is given up. */
export const silent: Reply = (_, signal) =>
  new Promise((_resolve, reject) => {
    const giveUp = () => reject(new DOMException("given up", "AbortError"));
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp);
  });
