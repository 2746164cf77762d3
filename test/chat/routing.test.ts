import { expect, test } from "vitest";
import type { TokenSource } from "../../src/chat/generate-answer.ts";
import type { GenerationOptions } from "../../src/core/chat.ts";
import type { ChatEvent, GenerationEvent } from "../../src/core/events.ts";
import { notComputed, type SequenceRouting } from "../../src/core/routing.ts";
import { greedy } from "../../src/core/sampling.ts";
import type { EngineRequest } from "../../src/engine/engine-protocol.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import { endThink, makeChat, makeService, nanoFolder } from "./nano.ts";

const tokenizer = loadTokenizer(nanoFolder);

/** One layer with one expert per bank. All tokens of a run are text, except `visionTokens`. */
function makeRouting(textTokens: number, favourites: Uint8Array): SequenceRouting {
  const visionTokens = favourites.filter((expert) => expert !== notComputed).length;
  return {
    layers: [1],
    expertCount: 1,
    topK: 1,
    text: { tokens: textTokens, counts: Uint32Array.of(textTokens, 0) },
    vision: { tokens: visionTokens, counts: Uint32Array.of(0, visionTokens) },
    pictures: [{ frameCount: 1, patchRows: 2, patchColumns: 4, favourites }],
  };
}

/** Each run generates the next script. If `enough` aborts, the run ends early, after one more token, as the real engine may. */
class TellingEngine implements TokenSource {
  readonly requests: EngineRequest[] = [];
  readonly #scripts: readonly (readonly number[])[];

  constructor(scripts: readonly (readonly number[])[]) {
    this.#scripts = scripts;
  }

  async *submit(
    request: EngineRequest,
    _signal: AbortSignal,
    _onEvent?: (event: GenerationEvent) => void,
    enough?: AbortSignal,
  ): AsyncGenerator<GenerationEvent> {
    const run = this.requests.push(request) - 1;
    yield { type: "started", cachedTokens: 0, sentMs: 0, queuedMs: 0 };
    for (const tokenId of this.#scripts[run]!) {
      const isLate = enough?.aborted;
      yield { type: "token", tokenId };
      if (isLate) break;
    }
    const favourites = run === 0 ? Uint8Array.of(1, notComputed) : Uint8Array.of(notComputed, 1);
    yield { type: "finished", reason: "stop", ...(request.wantsRouting && { routing: makeRouting(run + 3, favourites) }) };
  }
}

async function endOf(engine: TokenSource, options: Partial<GenerationOptions>, thinking = false) {
  const service = makeService(engine);
  const events: ChatEvent[] = [];
  const wanted = { sampling: greedy, maxTokens: undefined, stopStrings: [], returnsRouting: true, ...options };
  for await (const event of service.complete(makeChat("What is it?", thinking), wanted, new AbortController().signal)) events.push(event);
  const text = events.map((event) => (event.type === "content" ? event.text : "")).join("");
  const last = events.at(-1)!;
  if (last.type !== "finished") throw new Error(`the last event is ${last.type}`);
  return { text, last };
}

test("an answer that a stop string ends has its routing all the same, and nothing behind the string", async () => {
  const engine = new TellingEngine([tokenizer.encodeText("one two three four")]);

  const { text, last } = await endOf(engine, { stopStrings: ["three"] });

  expect(text).toBe("one two ");
  const usage = { completionTokens: tokenizer.encodeText("one two three").length };
  expect(last).toMatchObject({ reason: "stop", stopString: "three", usage, routing: { text: { tokens: 3 } } });
});

test("an answer of two runs has the sum of both, and the favourites of whichever computed them", async () => {
  const engine = new TellingEngine([[...tokenizer.encodeText("hm"), endThink], tokenizer.encodeText("yes")]);

  const { last } = await endOf(engine, { thinkingBudget: 9 }, true);

  const { routing } = last;
  expect(engine.requests.length).toBe(2);
  expect(routing!.text).toEqual({ tokens: 7, counts: Uint32Array.of(7, 0) });
  expect(routing!.vision).toEqual({ tokens: 2, counts: Uint32Array.of(0, 2) });
  expect(routing!.pictures[0]!.favourites).toEqual(Uint8Array.of(1, 1));
});

test("nothing is told or asked for unless wanted", async () => {
  const engine = new TellingEngine([tokenizer.encodeText("one")]);

  const { last } = await endOf(engine, { returnsRouting: false });

  expect(engine.requests[0]!.wantsRouting).toBeUndefined();
  expect(last.routing).toBeUndefined();
});
