import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type ChatServiceDeps, createChatService, type TokenRequest, type TokenSource } from "../../src/chat/complete.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import type { GenerationOptions } from "../../src/core/chat.ts";
import { EngineError, UserError } from "../../src/core/errors.ts";
import type { ChatEvent, GenerationEvent } from "../../src/core/events.ts";
import { greedy, type FinishReason } from "../../src/core/sampling.ts";
import { endThink, makeChat, makeImage, nanoFolder, nanoTokens } from "./nano.ts";

const tokenizer = loadTokenizer(nanoFolder);
const end = nanoTokens.eos[0]!;

describe("complete", () => {
  test("answers with content, thinking and exact usage", async () => {
    const [reasoning, content] = [tokenizer.encodeText("I see."), tokenizer.encodeText("A cat.")];
    const engine = new FakeEngine([...reasoning, endThink, ...content, end]);

    const events = await collect(engine, { thinking: true });

    const promptTokens = engine.requests[0]!.prompt.tokenIds.length;
    const completionTokens = reasoning.length + 1 + content.length + 1;
    const usage = { promptTokens, cachedTokens: 3, imageTokens: 0, completionTokens, reasoningTokens: reasoning.length };
    expect(events[0]).toEqual({ type: "started", promptTokens, imageTokens: 0, cachedTokens: 3 });
    expect(textOf(events, "reasoning")).toBe("I see.");
    expect(textOf(events, "content")).toBe("A cat.");
    expect(events.at(-1)).toEqual({ type: "finished", reason: "stop", usage });
  });

  test("counts the tokens of pictures", async () => {
    const image = { type: "image", bytes: new Uint8Array(), param: "image" } as const;
    const chat = { messages: [{ role: "user", content: [image, image] }], thinking: false } as const;

    const answer = makeService(new FakeEngine([end])).complete(chat, makeOptions(), new AbortController().signal);

    expect((await answer[Symbol.asyncIterator]().next()).value).toMatchObject({ type: "started", imageTokens: 8 });
  });

  test("ends at a stop string and takes no more tokens", async () => {
    const engine = new FakeEngine(tokenizer.encodeText("one, two, three"));
    const events = await collect(engine, { stopStrings: [", t"] });

    expect(textOf(events, "content")).toBe("one");
    const { tokenCount } = engine;
    expect(events.at(-1)).toMatchObject({ type: "finished", reason: "stop", usage: { completionTokens: tokenCount } });
    expect(tokenCount).toBeLessThan(tokenizer.encodeText("one, two, three").length);
    expect(engine.hasEnded).toBe(true);
  });

  test("shows at the token limit what it held back", async () => {
    const engine = new FakeEngine(tokenizer.encodeText("the EN"), "length");
    const events = await collect(engine, { stopStrings: ["END"] });
    expect(textOf(events, "content")).toBe("the EN");
    expect(events.at(-1)).toMatchObject({ reason: "length" });
  });

  test("finishes with stop when the last token of the limit completes a stop string", async () => {
    const events = await collect(new FakeEngine(tokenizer.encodeText("END"), "length"), { stopStrings: ["END"] });
    expect(events.at(-1)).toMatchObject({ reason: "stop" });
  });

  test.each([
    { asked: undefined, given: "rest" },
    { asked: 1_000_000, given: "rest" },
    { asked: 7, given: 7 },
  ])("lets the engine generate $given tokens when asked for $asked", async ({ asked, given }) => {
    const engine = new FakeEngine([end]);
    await collect(engine, { maxTokens: asked });
    const { maxTokens, prompt, stopTokenIds } = engine.requests[0]!;
    expect(maxTokens).toBe(given === "rest" ? 4096 - prompt.tokenIds.length : given);
    expect(stopTokenIds).toEqual([end]);
  });

  test("lets an answer end at the end of a turn too, which the tokenizer knows by name", async () => {
    const engine = new FakeEngine([end]);
    const service = makeService(engine, { config: { tokens: { ...nanoTokens, eos: [2] } } });
    for await (const _ of service.complete(makeChat("?"), makeOptions(), new AbortController().signal));
    expect(engine.requests[0]!.stopTokenIds).toEqual([2, tokenizer.controlTokenId("<|end_of_sentence|>")]);
  });

  test("ends the generation when the client leaves", async () => {
    const engine = new FakeEngine(tokenizer.encodeText("a long answer"));
    for await (const event of makeService(engine).complete(makeChat("?"), makeOptions(), new AbortController().signal)) {
      if (event.type === "content") break;
    }
    expect(engine.hasEnded).toBe(true);
    expect(engine.tokenCount).toBe(1);
  });

  test("throws what a failed step says, and when the engine falls silent", async () => {
    await expect(collect(new FakeEngine([], { type: "failed", message: "out of memory" }))).rejects.toThrow(
      new EngineError("the engine could not go on: out of memory"),
    );
    await expect(collect(new FakeEngine([], "silence"))).rejects.toThrow(EngineError);
  });

  test("needs tokenizer files", () => {
    const modelFolder = mkdtempSync(join(tmpdir(), "model-"));
    expect(() => makeService(new FakeEngine([]), { modelFolder })).toThrow(UserError);
  });
});

/** Generates a script of ids, then ends as told. */
class FakeEngine implements TokenSource {
  readonly requests: TokenRequest[] = [];
  readonly #tokenIds: readonly number[];
  readonly #last: GenerationEvent | "silence";
  tokenCount = 0;
  hasEnded = false;

  constructor(tokenIds: readonly number[], last: FinishReason | GenerationEvent | "silence" = "stop") {
    this.#tokenIds = tokenIds;
    this.#last = last === "stop" || last === "length" ? { type: "finished", reason: last } : last;
  }

  async *submit(request: TokenRequest): AsyncGenerator<GenerationEvent> {
    this.requests.push(request);
    try {
      yield { type: "started", cachedTokens: 3 };
      for (const tokenId of this.#tokenIds) {
        this.tokenCount++;
        yield { type: "token", tokenId };
      }
      if (this.#last !== "silence") yield this.#last;
    } finally {
      this.hasEnded = true;
    }
  }
}

function makeService(engine: TokenSource, overrides: Partial<ChatServiceDeps> = {}) {
  const loadImage = async () => makeImage(4, 4);
  return createChatService({
    modelFolder: nanoFolder,
    config: { tokens: nanoTokens },
    engine,
    loadImage,
    contextLength: 4096,
    ...overrides,
  });
}

function makeOptions(overrides: Partial<GenerationOptions> = {}): GenerationOptions {
  return { sampling: greedy, maxTokens: undefined, stopStrings: [], ...overrides };
}

async function collect(engine: TokenSource, { thinking = false, ...options }: Partial<GenerationOptions> & { thinking?: boolean } = {}) {
  const events: ChatEvent[] = [];
  const answer = makeService(engine).complete(makeChat("What is it?", thinking), makeOptions(options), new AbortController().signal);
  for await (const event of answer) events.push(event);
  return events;
}

function textOf(events: readonly ChatEvent[], type: "content" | "reasoning"): string {
  return events.map((event) => (event.type === type ? event.text : "")).join("");
}
