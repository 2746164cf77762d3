// An engine without a model: every turn of the event loop is a step, in which each running answer gets a token.

import type { TokenSource } from "../../src/chat/generate-answer.ts";
import { monotonicMs } from "../../src/core/clock.ts";
import type { GenerationEvent } from "../../src/core/events.ts";

/** Words, numbers, punctuation and characters of two to four bytes, as answers have them. */
export const longText = Array.from(
  { length: 64 },
  (_, i) => `The ${i}th shape is a blue star, next to ${i * 37} others; they say “naïve” or 你好 🙂.\n`,
).join("");

type Stream = { readonly events: GenerationEvent[]; left: number; at: number; wake: () => void };

/** Answers repeat the script of token ids until they have `maxTokens`. Hands events over as the real engine's client does. */
export function fakeEngine(script: readonly number[]): TokenSource {
  const running = new Set<Stream>();

  function step(): void {
    for (const stream of running) {
      stream.events.push({ type: "token", tokenId: script[stream.at++ % script.length]! });
      if (--stream.left === 0) {
        stream.events.push({ type: "finished", reason: "length" });
        running.delete(stream);
      }
      stream.wake();
    }
    if (running.size > 0) setImmediate(step);
  }

  return {
    async *submit({ maxTokens }, signal) {
      const stream: Stream = {
        events: [{ type: "started", cachedTokens: 0, sentMs: monotonicMs(), queuedMs: 0 }],
        left: maxTokens,
        at: 0,
        wake: () => {},
      };
      if (running.size === 0) setImmediate(step);
      running.add(stream);
      try {
        for (;;) {
          signal.throwIfAborted();
          const event = stream.events.shift();
          if (event === undefined) await new Promise<void>((resolve) => (stream.wake = resolve));
          else {
            yield event;
            if (event.type === "finished") return;
          }
        }
      } finally {
        running.delete(stream);
      }
    },
  };
}
