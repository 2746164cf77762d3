// Answers that must have a form: when the grammar is opened, what the engine receives, and that no port stays open.

import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import type { TokenSource } from "../../src/chat/generate-answer.ts";
import type { EngineRequest } from "../../src/engine/engine-protocol.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import type { BegunAnswer, GenerationOptions } from "../../src/core/chat.ts";
import { RequestError } from "../../src/core/errors.ts";
import type { ChatEvent, GenerationEvent } from "../../src/core/events.ts";
import { greedy } from "../../src/core/sampling.ts";
import type { OutputConstraint, OutputFormat } from "../../src/core/structured-output.ts";
import type { GrammarVocabulary } from "../../src/grammar/token-trie.ts";
import { endThink, makeChat, makeService, nanoFolder, nanoTokens } from "./nano.ts";

const tokenizer = loadTokenizer(nanoFolder);
const end = nanoTokens.eos[0]!;
const format: OutputFormat = { type: "choice", texts: ["a"], param: "guided_choice" };

/** Opens every constraint, and counts the closed ports. */
class FakeGrammar {
  readonly vocabularies: GrammarVocabulary[] = [];
  readonly constraints: OutputConstraint[] = [];
  readonly #closings: Promise<unknown>[] = [];
  readonly #farPorts: MessagePort[] = []; // kept from garbage collection

  readonly start = (vocabulary: GrammarVocabulary): this => {
    this.vocabularies.push(vocabulary);
    return this;
  };

  async open(constraint: OutputConstraint) {
    this.constraints.push(constraint);
    const { port1, port2 } = new MessageChannel();
    this.#closings.push(once(port2, "close"));
    this.#farPorts.push(port2.on("message", () => {}));
    return { port: port1, shared: new SharedArrayBuffer(4), ended: new SharedArrayBuffer(4) };
  }

  /** The number of closed ports. Expects that all are closed. */
  async closedCount(): Promise<number> {
    return (await Promise.all(this.#closings)).length;
  }
}

/** Each run generates the next script. A run without a script waits for the signal. */
class ScriptedEngine implements TokenSource {
  readonly requests: EngineRequest[] = [];
  readonly #runs: (readonly number[] | "silence")[];

  constructor(...runs: (readonly number[] | "silence")[]) {
    this.#runs = runs;
  }

  async *submit(request: EngineRequest, signal: AbortSignal): AsyncGenerator<GenerationEvent> {
    signal.throwIfAborted();
    const run = this.#runs[this.requests.length] ?? [end];
    this.requests.push(request);
    yield { type: "started", cachedTokens: 0, sentMs: 0, queuedMs: 0 };
    signal.throwIfAborted();
    if (run === "silence") await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    else for (const tokenId of run) yield { type: "token", tokenId };
    yield { type: "finished", reason: "stop" };
  }
}

const optionsOf = (options: Partial<GenerationOptions>): GenerationOptions => ({
  sampling: greedy,
  maxTokens: undefined,
  stopStrings: [],
  format,
  ...options,
});

type Asked = Partial<GenerationOptions> & { readonly thinking?: boolean; readonly begun?: Omit<BegunAnswer, "param"> };

async function run(engine: TokenSource, grammar: FakeGrammar, { thinking = false, begun, ...options }: Asked = {}) {
  const events: ChatEvent[] = [];
  const service = makeService(engine, { startGrammar: grammar.start });
  const chat = { ...makeChat("?", thinking), ...(begun && { begun: { ...begun, param: "messages[1]" } }) };
  const answer = service.complete(chat, optionsOf(options), new AbortController().signal);
  for await (const event of answer) events.push(event);
  return events;
}

const textOf = (events: readonly ChatEvent[]) => events.map((event) => (event.type === "content" ? event.text : "")).join("");

describe("the grammar", () => {
  test("holds the whole answer where there is no thinking", async () => {
    const grammar = new FakeGrammar();
    const engine = new ScriptedEngine([...tokenizer.encodeText("a"), end]);
    expect(textOf(await run(engine, grammar))).toBe("a");
    expect(grammar.constraints).toEqual([{ format, followsThinking: false }]);
    expect(engine.requests.map(({ constraint }) => constraint !== undefined)).toEqual([true]);
    expect(await grammar.closedCount()).toBe(1);
  });

  test("holds what follows the thinking", async () => {
    const grammar = new FakeGrammar();
    const thought = [...tokenizer.encodeText("Hm."), endThink];
    const engine = new ScriptedEngine(thought, [...tokenizer.encodeText("a"), end]);
    expect(textOf(await run(engine, grammar, { thinking: true }))).toBe("a");
    expect(grammar.constraints).toEqual([{ format, followsThinking: true }]);
    const [first, second] = engine.requests as [EngineRequest, EngineRequest];
    expect([first.constraint, second.constraint !== undefined]).toEqual([undefined, true]);
    expect(first.stopTokenIds).toContain(endThink);
    expect([...second.prompt.tokenIds]).toEqual([...first.prompt.tokenIds, ...thought]);
    expect(second.sampling).toEqual(first.sampling);
    expect([first.generatedCount, second.generatedCount]).toEqual([undefined, thought.length]);
  });

  test("is satisfied although the model would have ended within its thinking", async () => {
    const thought = tokenizer.encodeText("Hm.");
    const engine = new ScriptedEngine([...thought, end], [...tokenizer.encodeText("a"), end]);
    expect(textOf(await run(engine, new FakeGrammar(), { thinking: true }))).toBe("a");
    const [first, second] = engine.requests as [EngineRequest, EngineRequest];
    const closing = tokenizer.encodeTemplate("\n</think>\n\n");
    expect([...second.prompt.tokenIds]).toEqual([...first.prompt.tokenIds, ...thought, ...closing]);
  });

  test.each([
    ["</think> itself", endThink],
    ["a word of the thought", tokenizer.encodeText("Hm.").at(-1)!],
  ])("is not asked for once a stop token of the client has come, %s", async (_, stop) => {
    const engine = new ScriptedEngine([...tokenizer.encodeText("Hm."), endThink].slice(0, stop === endThink ? undefined : -1));
    const events = await run(engine, new FakeGrammar(), { thinking: true, thinkingBudget: 99, stopTokenIds: [stop, end] });
    expect(engine.requests).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ type: "finished", reason: "stop" });
  });

  test("is satisfied where the client names the model's own end token, too", async () => {
    const engine = new ScriptedEngine([...tokenizer.encodeText("Hm."), end], [...tokenizer.encodeText("a"), end]);
    expect(textOf(await run(engine, new FakeGrammar(), { thinking: true, stopTokenIds: [end] }))).toBe("a");
  });

  test("reads the beginning of an answer, of which the rest comes", async () => {
    const grammar = new FakeGrammar();
    const engine = new ScriptedEngine([...tokenizer.encodeText("a"), end]);
    expect(textOf(await run(engine, grammar, { begun: { text: "b" } }))).toBe("a");
    expect(grammar.constraints).toEqual([{ format, followsThinking: false, begun: { text: "b", param: "messages[1]" } }]);
    expect(engine.requests[0]!.prompt.tokenIds.slice(-1)).toEqual(Int32Array.from(tokenizer.encodeText("b")));
  });

  test("reads what stands behind a thought that has ended", async () => {
    const grammar = new FakeGrammar();
    const engine = new ScriptedEngine([...tokenizer.encodeText("a"), end]);
    expect(textOf(await run(engine, grammar, { thinking: true, begun: { reasoning: "Hm.", text: "b" } }))).toBe("a");
    expect(grammar.constraints).toEqual([{ format, followsThinking: false, begun: { text: "b", param: "messages[1]" } }]);
    expect(engine.requests).toHaveLength(1);
  });

  test("holds what follows a thought that is begun, and nothing of the thought", async () => {
    const grammar = new FakeGrammar();
    const engine = new ScriptedEngine([...tokenizer.encodeText("Hm."), endThink], [...tokenizer.encodeText("a"), end]);
    expect(textOf(await run(engine, grammar, { thinking: true, begun: { reasoning: "So" } }))).toBe("a");
    expect(grammar.constraints).toEqual([{ format, followsThinking: true }]);
    expect(engine.requests.map(({ constraint }) => constraint !== undefined)).toEqual([false, true]);
  });

  test("is asked of each of several answers that are begun", async () => {
    const grammar = new FakeGrammar();
    await run(new ScriptedEngine([end], [end]), grammar, { choiceCount: 2, begun: { text: "a" } });
    expect(grammar.constraints.map(({ begun }) => begun?.text)).toEqual(["a", "a"]);
    expect(await grammar.closedCount()).toBe(2);
  });

  test("is started once, by the first answer that needs one, and knows the model's tokens", async () => {
    const grammar = new FakeGrammar();
    const service = makeService(new ScriptedEngine(), { startGrammar: grammar.start });
    const { format: _, ...formless } = optionsOf({});
    for (const [options, started] of [
      [formless, 0],
      [optionsOf({}), 1],
      [optionsOf({}), 1],
    ] as const) {
      for await (const _event of service.complete(makeChat("?"), options, new AbortController().signal));
      expect(grammar.vocabularies).toHaveLength(started);
    }
    const [vocabulary] = grammar.vocabularies;
    expect(vocabulary).toMatchObject({ vocabSize: 2048, endIds: expect.arrayContaining([end]) });
    expect(vocabulary!.controls.map(({ content }) => content)).toEqual(["<tool_call>", "</tool_call>"]);
  });

  test("is asked before anything runs: what it refuses never reaches the engine", async () => {
    const engine = new ScriptedEngine();
    const refusal = new RequestError("no such grammar", { param: "guided_choice" });
    const service = makeService(engine, { startGrammar: () => ({ open: () => Promise.reject(refusal) }) as unknown as FakeGrammar });
    const answer = service.complete(makeChat("?", true), optionsOf({}), new AbortController().signal);
    await expect(answer[Symbol.asyncIterator]().next()).rejects.toBe(refusal);
    expect(engine.requests).toEqual([]);
  });
});

// The engine of these tests does not take over ports, so each answer must close its own.
describe("no port is left open", () => {
  test.each([1, 3])("by clients that leave %i answers in their thinking", async (choiceCount) => {
    const grammar = new FakeGrammar();
    const thought = [...tokenizer.encodeText("Hm. Hm. Hm."), endThink];
    const service = makeService(new ScriptedEngine(thought, thought, thought), { startGrammar: grammar.start });
    let count = 0;
    const options = optionsOf({ choiceCount });
    for await (const _ of service.complete(makeChat("?", true), options, new AbortController().signal)) if (++count === 4) break;
    expect(await grammar.closedCount()).toBe(choiceCount);
  });

  test.each(["silence", [end]] as const)("by a signal, where the engine gives %j", async (script) => {
    const grammar = new FakeGrammar();
    const service = makeService(new ScriptedEngine(script), { startGrammar: grammar.start });
    const leaving = new AbortController();
    const answer = service.complete(makeChat("?"), optionsOf({}), leaving.signal)[Symbol.asyncIterator]();
    await answer.next();
    leaving.abort(new Error("gone"));
    await answer.next().catch(() => {});
    await answer.return?.();
    expect(await grammar.closedCount()).toBe(1);
  });

  test("by one that was gone when its grammar was ready", async () => {
    const grammar = new FakeGrammar();
    const engine = new ScriptedEngine();
    const answer = makeService(engine, { startGrammar: grammar.start }).complete(
      makeChat("?"),
      optionsOf({}),
      AbortSignal.abort(new Error("gone")),
    );
    await expect(answer[Symbol.asyncIterator]().next()).rejects.toThrow("gone");
    expect(engine.requests).toEqual([]);
    expect(await grammar.closedCount()).toBe(1);
  });
});
