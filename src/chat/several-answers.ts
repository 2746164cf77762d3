// Several answers to one prompt, side by side.

import type { ChatEvent } from "../core/events.ts";

/**
 * The events of all answers, each with the number of its answer; `started` comes once. The first answer computes the prompt, and
 * the others begin when it is in the engine's cache: together they cost one prefill. When one fails, all end.
 */
export async function* severalAnswers(
  count: number,
  start: (choice: number, signal: AbortSignal) => AsyncGenerator<ChatEvent>,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent, void> {
  const end = new AbortController();
  const eitherSignal = AbortSignal.any([signal, end.signal]);
  const answers = [start(0, eitherSignal)];
  const pending = new Map([[0, next(answers, 0)]]);
  try {
    while (pending.size > 0) {
      const { choice, result } = await Promise.race(pending.values());
      if (result.done) {
        pending.delete(choice);
        continue;
      }
      const event = result.value;
      if (event.type === "started") {
        if (choice === 0) yield event;
      } else {
        yield { ...event, choice };
        // The prompt of the first answer is computed now.
        while (answers.length < count) {
          const other = answers.push(start(answers.length, eitherSignal)) - 1;
          pending.set(other, next(answers, other));
        }
      }
      pending.set(choice, next(answers, choice));
    }
  } finally {
    end.abort();
    await Promise.allSettled(pending.values());
    await Promise.allSettled(answers.map((answer) => answer.return(undefined))); // those whose last event nobody took
  }
}

async function next(answers: readonly AsyncGenerator<ChatEvent>[], choice: number) {
  return { choice, result: await answers[choice]!.next() };
}
