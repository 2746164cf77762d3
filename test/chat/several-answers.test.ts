import { MessageChannel } from "node:worker_threads";
import { describe, expect, test, vi } from "vitest";
import type { TokenSource } from "../../src/chat/generate-answer.ts";
import { severalAnswers, severalPrompts } from "../../src/chat/several-answers.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import type { ToolUse } from "../../src/core/chat.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import { greedy } from "../../src/core/sampling.ts";
import { Engine } from "../../src/engine/engine.ts";
import { EngineClient } from "../../src/engine/engine-client.ts";
import type { EngineRequest } from "../../src/engine/engine-protocol.ts";
import { runEngineLoop } from "../../src/engine/engine-loop.ts";
import { collectGarbage } from "../collect-garbage.ts";
import { FakeModel, noConstraint } from "../engine/fake-model.ts";
import { makeChat, makeService, nanoFolder } from "./nano.ts";

const usage = { promptTokens: 3, cachedTokens: 0, imageTokens: 0, completionTokens: 1, reasoningTokens: 0 };
const started: ChatEvent = { type: "started", promptTokens: 3, imageTokens: 0, cachedTokens: 0 };
const finished: ChatEvent = { type: "finished", reason: "stop", usage };

const never = () => new AbortController().signal;
const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

async function collect(events: AsyncIterable<ChatEvent>): Promise<ChatEvent[]> {
  const collected: ChatEvent[] = [];
  for await (const event of events) collected.push(event);
  return collected;
}

describe("severalAnswers", () => {
  test("numbers the events of each, and starts once", async () => {
    const events = await collect(
      severalAnswers(
        3,
        async function* answer(choice, _, onFirstToken) {
          yield started;
          onFirstToken();
          yield { type: "content", text: `${choice}` };
          yield finished;
        },
        never(),
      ),
    );

    expect(events[0]).toEqual(started);
    expect(events).toHaveLength(1 + 3 * 2);
    for (const choice of [0, 1, 2]) {
      expect(events.filter((event) => "choice" in event && event.choice === choice)).toEqual([
        { type: "content", text: `${choice}`, choice },
        { ...finished, choice },
      ]);
    }
  });

  test("begins the others when the first has a token, though it shows nothing yet", async () => {
    const begun: number[] = [];
    let compute = () => {};
    const computed = new Promise<void>((resolve) => (compute = resolve));
    let show = () => {};
    const shown = new Promise<void>((resolve) => (show = resolve));
    const events = collect(
      severalAnswers(
        2,
        async function* answer(choice, _, onFirstToken) {
          begun.push(choice);
          yield started;
          await computed;
          onFirstToken();
          await shown;
          yield finished;
        },
        never(),
      ),
    );
    await turn();
    expect(begun).toEqual([0]);

    compute();
    await turn();
    expect(begun).toEqual([0, 1]);
    show();
    await events;
  });

  test("ends all when one fails", async () => {
    const signals: AbortSignal[] = [];
    const events = severalAnswers(
      3,
      async function* answer(choice, signal, onFirstToken) {
        signals.push(signal);
        yield started;
        onFirstToken();
        yield { type: "content", text: "a" };
        if (choice === 1) throw new Error("boom");
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
      },
      never(),
    );

    await expect(collect(events)).rejects.toThrow("boom");
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
  });

  test("ends all when the client leaves", async () => {
    const signals: AbortSignal[] = [];
    const events = severalAnswers(
      2,
      async function* endless(_, signal, onFirstToken) {
        signals.push(signal);
        onFirstToken();
        for (;;) {
          await turn();
          signal.throwIfAborted();
          yield { type: "content", text: "a" };
        }
      },
      never(),
    );
    for await (const event of events) if (event.type === "content" && event.choice === 1) break;

    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });
});

test("severalPrompts leaves nothing behind in the answers that wait while others are written", async () => {
  async function* answer(index: number, signal: AbortSignal): AsyncGenerator<ChatEvent> {
    if (index > 0) await new Promise((_, reject) => signal.addEventListener("abort", reject));
    for (;;) yield { type: "content", text: "a" };
  }
  const events = severalPrompts(128, 1, answer, never());
  const usedBytes = async () => (await collectGarbage(), process.memoryUsage().heapUsed);
  await events.next();
  const before = await usedBytes();
  for (let i = 0; i < 5000; i++) await events.next();
  expect((await usedBytes()) - before).toBeLessThan(10 * 2 ** 20);
  await events.return(undefined);
});

describe("several answers of the engine", () => {
  const tokenizer = loadTokenizer(nanoFolder);
  const letters = tokenizer.encodeText("abcdefg");

  async function serve(slotCount: number, maxWaiting: number) {
    const { port1, port2 } = new MessageChannel();
    const model = new FakeModel({
      slotCount,
      slotCapacity: 512,
      nextToken: (cells, drawIndex) => letters[(cells.length + drawIndex) % letters.length]!,
    });
    void runEngineLoop(new Engine(model, { maxWaiting }), port2, noConstraint);
    const engine = await EngineClient.start(port1);
    const submit = vi.spyOn(engine, "submit");
    const asked = () => submit.mock.calls.map(([{ answerCount, isFollowUp }]) => [answerCount, isFollowUp]);
    return { model, engine, service: makeService(engine, { contextLength: 512 }), asked };
  }

  async function answer(choiceCount: number) {
    const { model, engine, service, asked } = await serve(8, 256);
    const seeds = new Set<number>();
    model.onStep = (batch) => {
      const entries = batch.type === "decode" ? batch.entries : [];
      for (const { draw } of entries) if (draw) seeds.add(draw.params.seed);
    };
    const options = { sampling: { ...greedy, temperature: 1, seed: 2 ** 53 - 1 }, maxTokens: 20, stopStrings: [], choiceCount };
    const events = await collect(service.complete(makeChat("word ".repeat(40)), options, never()));
    await engine.close();
    return { events, promptTokenCount: model.promptTokenCount, asked: asked(), seeds: [...seeds] };
  }

  test("are counted by the first, and the others are not refused for a full queue", async () => {
    expect((await answer(3)).asked).toEqual([
      [3, undefined],
      [undefined, true],
      [undefined, true],
    ]);
  });

  test("of several prompts are counted by the first of all, and none is refused once that one has its turn", async () => {
    const { engine, service, asked } = await serve(1, 2);
    const prompts = ["one", "two", "three", "four"].map((text) => ({ text, param: "prompt" }));
    const options = { sampling: greedy, maxTokens: 3, stopStrings: [], choiceCount: 2, promptLogprobCount: 0 };
    const events = await collect(service.completeTexts(prompts, options, never()));
    await engine.close();

    expect(events.filter(({ type }) => type === "finished")).toHaveLength(8);
    expect(new Set(events.flatMap((event) => (event.type === "prompt-token" ? [event.choice] : [])))).toEqual(new Set([0, 2, 4, 6]));
    expect(asked()).toEqual([[8, undefined], ...Array.from({ length: 7 }, () => [undefined, true])]);
  });

  test("cost one prefill: the others compute the last token of the prompt, no more", async () => {
    const one = await answer(1);
    const four = await answer(4);

    expect(four.promptTokenCount).toBe(one.promptTokenCount + 3);
    expect(four.events.filter(({ type }) => type === "finished")).toHaveLength(4);
  });

  test("are asked for with the first token of the first, though it shows nothing before its end", async () => {
    const submitted: EngineRequest[] = [];
    let end = () => {};
    const ended = new Promise<void>((resolve) => (end = resolve));
    const engine: TokenSource = {
      async *submit(request) {
        submitted.push(request);
        yield { type: "started", cachedTokens: 0, sentMs: 0, queuedMs: 0 };
        yield { type: "token", tokenId: tokenizer.controlTokenId("<tool_call>")! };
        await ended;
        yield { type: "finished", reason: "stop" };
      },
    };
    const toolUse: ToolUse = { tools: [{ name: "look" }], choice: "auto", allowsParallelCalls: true };
    const options = { sampling: greedy, maxTokens: undefined, stopStrings: [], choiceCount: 3 };
    const events = collect(makeService(engine).complete({ ...makeChat("word"), toolUse }, options, never()));
    await expect.poll(() => submitted.length).toBe(3);

    end();
    expect((await events).filter(({ type }) => type === "finished")).toHaveLength(3);
  });

  test("have seeds of their own, counted up within the range", async () => {
    expect((await answer(3)).seeds.toSorted((a, b) => a - b)).toEqual([0, 1, 2 ** 53 - 1]);
  });
});
