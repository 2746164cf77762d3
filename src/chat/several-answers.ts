// Several answers side by side: to one prompt, or to several.

import { setMaxListeners } from "node:events";
import type { ChatEvent } from "../core/events.ts";

type Start = (index: number, signal: AbortSignal) => AsyncGenerator<ChatEvent>;

/**
 * The events of all answers, each with the number of its answer; `started` comes once. The first answer computes the prompt, and
 * the others begin when it is in the engine's cache: together they cost one prefill. When one fails, all end.
 */
export async function* severalAnswers(count: number, start: Start, signal: AbortSignal): AsyncGenerator<ChatEvent, void> {
  const race = new Race(start, signal);
  race.startUpTo(1);
  for await (const [choice, event] of race.events()) {
    if (event.type === "started") {
      if (choice === 0) yield event;
    } else {
      yield { ...event, choice };
      if (event.type !== "prompt-token") race.startUpTo(count); // the prompt of the first answer is computed now
    }
  }
}

/** The events of `choiceCount` answers to each prompt, numbered over all; each prompt has its `started`. When one fails, all end. */
export async function* severalPrompts(
  count: number,
  choiceCount: number,
  start: Start,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent, void> {
  const race = new Race(start, signal);
  race.startUpTo(count);
  for await (const [prompt, event] of race.events()) {
    yield event.type === "started" ? event : { ...event, choice: prompt * choiceCount + (event.choice ?? 0) };
  }
}

/** Generators that run at the same time; the next event of each is asked for when its last one has been taken. */
class Race {
  readonly #start: Start;
  readonly #end = new AbortController();
  readonly #signal: AbortSignal;
  readonly #sources: AsyncGenerator<ChatEvent>[] = [];
  readonly #pending = new Map<number, Promise<{ index: number; result: IteratorResult<ChatEvent, unknown> }>>();

  constructor(start: Start, signal: AbortSignal) {
    this.#start = start;
    this.#signal = AbortSignal.any([signal, this.#end.signal]);
    setMaxListeners(0, this.#signal); // each answer listens
  }

  startUpTo(count: number): void {
    while (this.#sources.length < count) {
      const index = this.#sources.length;
      this.#sources.push(this.#start(index, this.#signal));
      this.#ask(index);
    }
  }

  async *events(): AsyncGenerator<[index: number, event: ChatEvent], void> {
    try {
      while (this.#pending.size > 0) {
        const { index, result } = await Promise.race(this.#pending.values());
        if (result.done) {
          this.#pending.delete(index);
          continue;
        }
        yield [index, result.value];
        this.#ask(index);
      }
    } finally {
      this.#end.abort();
      await Promise.allSettled(this.#pending.values());
      await Promise.allSettled(this.#sources.map((source) => source.return(undefined))); // those whose last event nobody took
    }
  }

  #ask(index: number): void {
    this.#pending.set(
      index,
      this.#sources[index]!.next().then((result) => ({ index, result })),
    );
  }
}
