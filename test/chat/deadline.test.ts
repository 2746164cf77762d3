import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { withinTime } from "../../src/chat/deadline.ts";
import { RequestError } from "../../src/core/errors.ts";

/** Yields two pieces of an answer, then waits for the signal. */
async function* stuck(signal: AbortSignal): AsyncGenerator<number> {
  yield 1;
  yield 2;
  await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
}

async function collect(pieces: AsyncIterable<number>): Promise<{ taken: number[]; error: unknown }> {
  const taken: number[] = [];
  try {
    for await (const piece of pieces) taken.push(piece);
    return { taken, error: undefined };
  } catch (error) {
    return { taken, error };
  }
}

test("an answer that takes too long ends with an error behind what there was", async () => {
  const { taken, error } = await collect(withinTime(20, new AbortController().signal, stuck));
  expect(taken).toEqual([1, 2]);
  expect(error).toBeInstanceOf(RequestError);
  expect(error).toMatchObject({ status: 504, code: "request_timeout", message: expect.stringMatching(/0\.02 s.*--request-timeout/) });
});

test.each([undefined, 60_000])("one that is given up ends with the reason for that (%s ms)", async (timeoutMs) => {
  const client = new AbortController();
  const answer = collect(withinTime(timeoutMs, client.signal, stuck));
  await setTimeout(1);
  client.abort(new Error("gone"));
  expect(await answer).toEqual({ taken: [1, 2], error: new Error("gone") });
});

test("one in time is complete, and leaves no timer behind", async () => {
  const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  async function* quick(): AsyncGenerator<number> {
    yield 1;
  }
  expect(await collect(withinTime(60_000, new AbortController().signal, quick))).toEqual({ taken: [1], error: undefined });
  expect(process.getActiveResourcesInfo().filter((name) => name === "Timeout")).toHaveLength(before);
});
