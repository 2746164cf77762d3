// The app over a scripted service: tests say what the service answers and see what it was asked.

import { ApiKeys } from "../../src/api/api-keys.ts";
import type { AppOptions } from "../../src/api/app-options.ts";
import { createApp } from "../../src/api/app.ts";
import { ServerMetrics } from "../../src/api/metrics.ts";
import type { ChatService } from "../../src/chat/complete.ts";
import type { Chat, GenerationOptions, TextPrompt } from "../../src/core/chat.ts";
import { monotonicMs } from "../../src/core/clock.ts";
import type { ChatEvent, GenerationEvent, Usage } from "../../src/core/events.ts";
import { createMediaReader } from "../../src/media/media-reader.ts";

export const usage: Usage = { promptTokens: 12, cachedTokens: 4, imageTokens: 5, completionTokens: 3, reasoningTokens: 0 };
export const started: ChatEvent = { type: "started", promptTokens: 12, imageTokens: 5, cachedTokens: 4 };
export const finished: ChatEvent = { type: "finished", reason: "stop", usage };

export const helloEvents: readonly ChatEvent[] = [started, { type: "content", text: "Hel" }, { type: "content", text: "lo." }, finished];

export const thinkingEvents: readonly ChatEvent[] = [
  started,
  { type: "reasoning", text: "Let me " },
  { type: "reasoning", text: "see." },
  { type: "content", text: "Four." },
  { type: "finished", reason: "stop", usage: { ...usage, completionTokens: 9, reasoningTokens: 6 } },
];

type TextCall = { readonly prompts: readonly TextPrompt[]; readonly options: GenerationOptions };

export type Call = {
  readonly chat: Chat;
  readonly options: GenerationOptions;
  readonly signal: AbortSignal;
  /** Tells the server what the engine did. */
  readonly onEvent: (event: GenerationEvent, choice: number) => void;
};

type LogLine = { readonly level: "info" | "error"; readonly fields: Record<string, unknown>; readonly message: string };

/** What the service gives for one request: its events, or a generator of its own. An Error in the list is thrown. */
export type Script = readonly (ChatEvent | Error)[] | ((call: Call) => AsyncIterable<ChatEvent>);

export type MadeAppOptions = Partial<Omit<AppOptions, "apiKeys">> & { readonly apiKeys?: ApiKeys | readonly string[] };

/** `onEncode` is awaited before a prompt's tokens are counted. */
export function makeApp(
  script: Script = helloEvents,
  { apiKeys = [], ...options }: MadeAppOptions = {},
  onEncode?: (signal: AbortSignal) => Promise<void>,
) {
  const calls: Call[] = [];
  const chats: Chat[] = [];
  const textCalls: TextCall[] = [];
  const lines: LogLine[] = [];
  const decoded: number[][] = [];
  const service: ChatService = {
    complete(chat, generation, signal, onEvent = () => {}) {
      const call = { chat, options: generation, signal, onEvent };
      calls.push(call);
      return typeof script === "function" ? script(call) : play(script, call);
    },
    completeTexts(prompts, generation, signal, onEvent = () => {}) {
      textCalls.push({ prompts, options: generation });
      const options = { ...generation, choiceCount: prompts.length * (generation.choiceCount ?? 1) };
      const call = { chat: { messages: [], thinking: false }, options, signal, onEvent };
      return typeof script === "function" ? script(call) : play(script, call);
    },
    async encodeChat(chat, signal = staying) {
      chats.push(chat);
      if (onEncode) await onEncode(signal);
      return [1, 2, 3];
    },
    tokens: {
      encode: (text) => [...text].map((character) => character.codePointAt(0)!),
      decode(ids) {
        decoded.push([...ids]);
        return String.fromCodePoint(...ids.map((id) => id % 0x11_0000));
      },
    },
  };
  const stats = { running: 0, waiting: 0, slotsUsed: 0, kvCacheUsage: 0, preemptions: 0 };
  const metrics = new ServerMetrics({ modelId: "ernie", slotCount: 4, stats: () => stats });
  const app = createApp(service, {
    modelId: "ernie",
    created: 1_700_000_000,
    contextLength: 4096,
    defaultThinking: false,
    generationDefaults: {},
    apiKeys: apiKeys instanceof ApiKeys ? apiKeys : new ApiKeys(apiKeys.map((key) => ({ key }))),
    media: noRemoteMedia,
    isReady: () => true,
    stats: () => ({ running: 0, waiting: 0 }),
    log: {
      info: (fields, message) => lines.push({ level: "info", fields: { ...fields }, message }),
      error: (fields, message) => lines.push({ level: "error", fields: { ...fields }, message }),
    },
    metrics,
    servesMetrics: true,
    ...options,
  });
  return { app, calls, textCalls, chats, decoded, lines, metrics, stats };
}

/**
 * The same answer as often as one is wanted, unless the script says which answer an event belongs to. Each text is a token of the
 * engine.
 */
async function* play(script: readonly (ChatEvent | Error)[], { options, onEvent }: Call): AsyncGenerator<ChatEvent> {
  const choices = Array.from({ length: options.choiceCount ?? 1 }, (_, choice) => choice);
  for (const item of script) {
    if (item instanceof Error) throw item;
    if (item.type === "started") {
      const sentMs = monotonicMs();
      for (const choice of choices) onEvent({ type: "started", cachedTokens: item.cachedTokens, sentMs, queuedMs: 2 }, choice);
    } else if ("text" in item) {
      for (const choice of choices) if ((item.choice ?? choice) === choice) onEvent({ type: "token", tokenId: 7 }, choice);
    }
    if (choices.length === 1 || item.type === "started" || "choice" in item) yield item;
    else for (const choice of choices) yield { ...item, choice };
  }
}

/** Ends by throwing when the signal aborts, as the real service does. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave);
  });
}

export const chatPath = "/v1/chat/completions";

export function post(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
  };
}

export function userSays(content: unknown, fields: object = {}): Record<string, unknown> {
  return { messages: [{ role: "user", content }], ...fields };
}

/** Allows nothing. */
export const noRemoteMedia = createMediaReader({ domains: [], folders: [] });

/** A client that stays. */
export const staying = new AbortController().signal;

/** A PNG of one pixel. */
export const pngBase64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

export type Envelope = { error: { message: string; type: string; param: string | null; code: string | null } };

/** Data lines of a stream of server-sent events. */
export function frames(streamText: string): string[] {
  return streamText
    .split("\n\n")
    .filter((frame) => frame.startsWith("data: "))
    .map((frame) => frame.slice("data: ".length));
}
