import { describe, expect, test } from "vitest";
import type { ChatServiceDeps } from "../../src/chat/complete.ts";
import type { TokenSource } from "../../src/chat/generate-answer.ts";
import type { EngineRequest } from "../../src/engine/engine-protocol.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import type { Chat, GenerationOptions, ToolChoice, ToolUse } from "../../src/core/chat.ts";
import { EngineError, UserError } from "../../src/core/errors.ts";
import type { ChatEvent, Usage } from "../../src/core/events.ts";
import { greedy, type FinishReason } from "../../src/core/sampling.ts";
import { FakeEngine } from "./fake-engine.ts";
import { endThink, makeChat, makeService, nanoFolder, nanoTokens } from "./nano.ts";
import { temporaryFolder } from "../temporary-folder.ts";

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

  test("keeps pictures of requests with different salts apart", async () => {
    const image = { type: "image", bytes: new Uint8Array(), param: "image" } as const;
    const chat = { messages: [{ role: "user", content: [image] }], thinking: false } as const;
    const hashOf = async (salt: object) => {
      const engine = new FakeEngine([end]);
      for await (const _ of makeService(engine).complete(chat, { ...makeOptions(), ...salt }, new AbortController().signal));
      return engine.requests[0]!.prompt.spans[0]!.image.hash;
    };

    const hashes = [await hashOf({}), await hashOf({ cacheSalt: "a" }), await hashOf({ cacheSalt: "b" }), await hashOf({ cacheSalt: "a" })];

    expect(new Set(hashes).size).toBe(3);
    expect(hashes[1]).toBe(hashes[3]);
  });

  test("ends at a stop string and takes no more tokens", async () => {
    const engine = new FakeEngine(tokenizer.encodeText("one, two, three"));
    const events = await collect(engine, { stopStrings: [", t"] });

    expect(textOf(events, "content")).toBe("one");
    const { tokenCount } = engine;
    expect(events.at(-1)).toMatchObject({ type: "finished", reason: "stop", stopString: ", t", usage: { completionTokens: tokenCount } });
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

  test("tells the engine whose request it is, and what it shares prefixes with", async () => {
    const engine = new FakeEngine([end]);
    await collect(engine, { clientId: "ann", cacheSalt: "salt" });
    await collect(engine, {});
    expect(engine.requests.map(({ clientId, cacheSalt }) => [clientId, cacheSalt])).toEqual([
      ["ann", "salt"],
      [undefined, undefined],
    ]);
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
    const modelFolder = temporaryFolder();
    expect(() => makeService(new FakeEngine([]), { modelFolder })).toThrow(UserError);
  });
});

test("counting tokens is given up with its signal", async () => {
  const chat = { messages: [{ role: "user", content: [{ type: "image", bytes: new Uint8Array(), param: "" }] }], thinking: false } as const;
  const loadImage: ChatServiceDeps["loadImage"] = (...[, , signal]) => Promise.reject(signal.reason as Error);
  const left = AbortSignal.abort();
  await expect(makeService(new FakeEngine([]), { loadImage }).encodeChat(chat, left)).rejects.toBe(left.reason);
});

describe("tools", () => {
  const toolUse = (choice: ToolChoice = "auto", allowsParallelCalls = true): ToolUse => ({
    tools: [{ name: "clock" }, { name: "get_weather" }],
    choice,
    allowsParallelCalls,
  });
  const call = tokenizer.encodeTemplate('<tool_call>{"name": "clock", "arguments": {"zone": "UTC"}}</tool_call>');
  const clock = { name: "clock", arguments: '{"zone": "UTC"}' };

  test.each<[string, number[], FinishReason, { calls: object[]; content?: string; reason: string }]>([
    ["a call", [...call, end], "stop", { calls: [clock], reason: "tool_calls" }],
    ["two calls", [...call, ...call, end], "stop", { calls: [clock, clock], reason: "tool_calls" }],
    [
      "text, then a call",
      [...tokenizer.encodeText("Hm.\n"), ...call, end],
      "stop",
      { calls: [clock], content: "Hm.", reason: "tool_calls" },
    ],
    ["a call that the limit cuts", call.slice(0, -4), "length", { calls: [expect.anything()], reason: "length" }],
    [
      "text that looks like a call",
      [...tokenizer.encodeText("<tool_call>{}"), end],
      "stop",
      { calls: [], content: "<tool_call>{}", reason: "stop" },
    ],
    [
      "a call of an unknown tool",
      [...tokenizer.encodeTemplate('<tool_call>{"name": "rm", "arguments": {}}</tool_call>'), end],
      "stop",
      { calls: [], content: '<tool_call>{"name": "rm", "arguments": {}}</tool_call>', reason: "stop" },
    ],
  ])("answers with %s", async (_, tokenIds, last, { calls, content = "", reason }) => {
    const events = await collect(new FakeEngine(tokenIds, last), { toolUse: toolUse() });
    expect(callsOf(events)).toEqual(calls);
    expect(textOf(events, "content")).toBe(content);
    expect(events.at(-1)).toMatchObject({ type: "finished", reason });
  });

  test("thinks before a call, and a call that is only thought of is none", async () => {
    const thought = [...tokenizer.encodeText("I could "), ...call, ...tokenizer.encodeText(" now.\n"), endThink];
    const events = await collect(new FakeEngine([...thought, ...call, end]), { toolUse: toolUse(), thinking: true });
    expect(textOf(events, "reasoning")).toBe('I could {"name": "clock", "arguments": {"zone": "UTC"}} now.');
    expect(callsOf(events)).toEqual([clock]);
  });

  test.each([
    ["the only one", { name: "clock" }],
    ["any", "required"],
  ] as const)("says that the limit cut a call, where %s must be made", async (_, choice) => {
    const events = await collect(new FakeEngine(call.slice(0, -4), "length"), { toolUse: toolUse(choice, false) });
    expect(callsOf(events)).toEqual([{ name: "clock", arguments: expect.stringMatching(/^\{"zone"/) }]);
    expect(events.at(-1)).toMatchObject({ type: "finished", reason: "length" });
  });

  test("ends after the first call where calls in parallel are not wanted", async () => {
    const engine = new FakeEngine([...call, ...call, end]);
    const events = await collect(engine, { toolUse: toolUse("auto", false) });
    expect(callsOf(events)).toEqual([clock]);
    expect(engine.tokenCount).toBe(call.length);
    expect(events.at(-1)).toMatchObject({ reason: "tool_calls", usage: { completionTokens: call.length } });
  });

  test("finishes with stop when the limit cuts what could have become a call, and its text has a stop string", async () => {
    const cut = [...tokenizer.encodeTemplate("<tool_call>"), ...tokenizer.encodeText("an END and more")];
    const events = await collect(new FakeEngine(cut, "length"), { toolUse: toolUse(), stopStrings: ["END"] });
    expect(textOf(events, "content")).toBe("<tool_call>an ");
    expect(events.at(-1)).toMatchObject({ type: "finished", reason: "stop", stopString: "END" });
  });

  test("a stop string ends the text, not the arguments", async () => {
    const events = await collect(new FakeEngine([...call, ...tokenizer.encodeText("abc"), end]), {
      toolUse: toolUse(),
      stopStrings: ['"', "b"],
    });
    expect(callsOf(events)).toEqual([clock]);
    expect(textOf(events, "content")).toBe("a");
  });
});

describe("thinking budget", () => {
  const image = { type: "image", bytes: new Uint8Array(), param: "image" } as const;

  test("ends the thinking, and the answer goes on", async () => {
    const thought = tokenizer.encodeText("abc abc abc").slice(0, 3);
    const engine = new FakeEngine([...thought, "length", ...tokenizer.encodeText("Yes."), end]);
    const events = await collect(engine, { thinking: true, thinkingBudget: 3, maxTokens: 100 });
    expect(textOf(events, "content")).toBe("Yes.");
    const closing = tokenizer.encodeTemplate("\n</think>\n\n");
    const [first, second] = engine.requests as [EngineRequest, EngineRequest];
    expect(first.maxTokens).toBe(3);
    expect(second.maxTokens).toBe(100 - 3 - closing.length);
    expect([...second.prompt.tokenIds]).toEqual([...first.prompt.tokenIds, ...thought, ...closing]);
    const completionTokens = 3 + closing.length + tokenizer.encodeText("Yes.").length + 1;
    expect(events.at(-1)).toMatchObject({ reason: "stop", usage: { reasoningTokens: 3, completionTokens } });
    expect(events.filter(({ type }) => type === "started")).toHaveLength(1);
  });

  test("the second run has the positions and experts of one that was never interrupted", async () => {
    const engine = new FakeEngine([...tokenizer.encodeText("ab"), "length", end]);
    const chat: Chat = { messages: [{ role: "user", content: [image] }], thinking: true };
    for await (const _ of makeService(engine).complete(chat, makeOptions({ thinkingBudget: 2 }), new AbortController().signal));

    const [{ prompt: first }, { prompt: second }] = engine.requests as [EngineRequest, EngineRequest];
    const [length, newLength] = [first.tokenIds.length, second.tokenIds.length];
    for (let axis = 0; axis < 3; axis++) {
      const row = [...second.positions.subarray(axis * newLength, (axis + 1) * newLength)];
      const added = Array.from({ length: newLength - length }, (_, i) => length + i + first.positionDelta);
      expect(row).toEqual([...first.positions.subarray(axis * length, (axis + 1) * length), ...added]);
    }
    expect([...second.visionExpert]).toEqual([...first.visionExpert, ...Array<number>(newLength - length).fill(0)]);
    expect(second.spans).toEqual(first.spans);
  });

  test.each<[string, (number | "stop" | "length")[], Partial<GenerationOptions>, string]>([
    [
      "thinking that ends by itself goes on in a second run",
      [...tokenizer.encodeText("ab"), endThink, "stop", ...tokenizer.encodeText("c"), end],
      {},
      "stop",
    ],
    ["an answer that ends within its thinking is over", [...tokenizer.encodeText("ab"), end], {}, "stop"],
    ["a limit of the whole answer comes first", [...tokenizer.encodeText("ab"), "length"], { maxTokens: 2 }, "length"],
    [
      "a limit that leaves no room for an answer ends it",
      [...tokenizer.encodeText("abab").slice(0, 2), "length"],
      { maxTokens: 2 + tokenizer.encodeTemplate("\n</think>\n\n").length, thinkingBudget: 2 },
      "length",
    ],
  ])("%s", async (_, script, options, reason) => {
    const events = await collect(new FakeEngine(script), { thinking: true, thinkingBudget: 50, ...options });
    expect(events.at(-1)).toMatchObject({ type: "finished", reason });
    expect((events.at(-1) as { usage: Usage }).usage.completionTokens).toBeLessThanOrEqual(options.maxTokens ?? Infinity);
  });

  test("the second run goes on with a request that had its turn", async () => {
    const engine = new FakeEngine([...tokenizer.encodeText("ab"), "length", end]);
    await collect(engine, { thinking: true, thinkingBudget: 2, clientId: "ann", priority: 7, promptLogprobCount: 0 });
    expect(engine.requests).toMatchObject([
      { clientId: "ann", priority: 7, answerCount: 1, promptLogprobCount: 0 },
      { clientId: "ann", priority: 7, isFollowUp: true },
    ]);
    expect(engine.requests[0]).not.toHaveProperty("isFollowUp");
    expect(engine.requests[1]).not.toHaveProperty("answerCount");
    expect(engine.requests[1]).not.toHaveProperty("promptLogprobCount"); // they were told
  });

  test("says nothing to an answer without thinking", async () => {
    const engine = new FakeEngine([...tokenizer.encodeText("abc"), end]);
    await collect(engine, { thinkingBudget: 1 });
    expect(engine.requests).toMatchObject([{ maxTokens: expect.any(Number), stopTokenIds: [end] }]);
    expect(engine.requests[0]!.maxTokens).toBeGreaterThan(1);
  });
});

describe("tokens", () => {
  test("more ids end the answer, and their text is not shown", async () => {
    const [stop] = tokenizer.encodeText("b");
    const engine = new FakeEngine([...tokenizer.encodeText("a"), stop!]);
    expect(textOf(await collect(engine, { stopTokenIds: [stop!] }), "content")).toBe("a");
    expect(engine.requests[0]!.stopTokenIds).toEqual([end, stop]);
  });

  test("what ends the answer cannot come before as many as are wanted, in both runs together", async () => {
    const [stop] = tokenizer.encodeText("b");
    const thought = tokenizer.encodeText("abc abc abc").slice(0, 3);
    const engine = new FakeEngine([...thought, "length", end]);
    await collect(engine, { thinking: true, thinkingBudget: 3, minTokens: 20, stopTokenIds: [stop!] });
    const closing = tokenizer.encodeTemplate("\n</think>\n\n");
    const tokenIds = [end, stop];
    expect(engine.requests.map(({ notBefore }) => notBefore)).toEqual([
      { tokenCount: 20, tokenIds },
      { tokenCount: 20 - 3 - closing.length, tokenIds },
    ]);
    const plain = new FakeEngine([end]);
    await collect(plain);
    expect(plain.requests[0]).not.toHaveProperty("notBefore");
  });

  test("a bias on one that the model does not have is refused", async () => {
    const engine = new FakeEngine([end]);
    const sampling = {
      ...greedy,
      logitBias: [
        [0, 1],
        [999_999, 1],
      ] as const,
    };
    await expect(collect(engine, { sampling })).rejects.toThrow(/^logit_bias: expected token ids of this model, got 999999/);
    expect(engine.requests).toEqual([]);
  });

  test("end tokens can be ignored", async () => {
    const engine = new FakeEngine([...tokenizer.encodeText("a"), end, ...tokenizer.encodeText("b")], "length");
    expect(textOf(await collect(engine, { ignoresEndTokens: true }), "content")).toBe("ab");
    expect(engine.requests[0]!.stopTokenIds).toEqual([]);
  });

  test("control tokens can be spelled out, but not those of thinking, calls and the end", async () => {
    const script = tokenizer.encodeTemplate("a</think><|IMAGE_START|><tool_call>b</s>");
    const events = await collect(new FakeEngine([...script, end]), {
      thinking: true,
      spellsSpecials: true,
      toolUse: { tools: [{ name: "f" }], choice: "auto", allowsParallelCalls: true },
    });
    expect(textOf(events, "reasoning")).toBe("a");
    expect(textOf(events, "content")).toBe("<|IMAGE_START|><tool_call>b</s>");
  });

  test("come with log-probabilities where asked for, but not the one that ends the answer", async () => {
    const logprobs = { logprob: -0.5, top: [{ tokenId: endThink, logprob: -0.5 }] };
    const texts = tokenizer.encodeText("a é");
    const engine = new FakeEngine([...texts, end], "stop", logprobs);
    const events = await collect(engine, { logprobCount: 1 });
    const shown = events.flatMap((event) => (event.type === "logprobs" ? [event] : []));
    expect(engine.requests[0]).toMatchObject({ logprobCount: 1 });
    expect(shown).toHaveLength(texts.length);
    expect(Buffer.from(shown.flatMap(({ chosen }) => chosen.bytes)).toString()).toBe("a é");
    expect(shown[0]!.top).toEqual([{ text: "</think>", bytes: [...Buffer.from("</think>")], logprob: -0.5 }]);
    expect(events.findIndex(({ type }) => type === "logprobs")).toBeLessThan(events.findIndex(({ type }) => type === "content"));
  });

  test("are told where asked for, all of them, the prompt's too", async () => {
    const script = [...tokenizer.encodeText("a b"), endThink, end];
    const engine = new FakeEngine(script);
    const events = await collect(engine, { thinking: true, returnsTokenIds: true });
    expect(events[0]).toMatchObject({ promptTokenIds: [...engine.requests[0]!.prompt.tokenIds] });
    expect(events.flatMap((event) => (event.type === "tokens" ? event.tokenIds : []))).toEqual(script);
    expect((await collect(new FakeEngine(script))).some(({ type }) => type === "tokens")).toBe(false);
  });
});

test("many text prompts leave others their turns, and are not read to the end for a client that has left", async () => {
  const client = new AbortController();
  const engine = new FakeEngine([]);
  const prompts = Array.from({ length: 64 }, (_, i) => ({ text: "a b", param: `prompt[${i}]` }));
  const first = makeService(engine).completeTexts(prompts, makeOptions(), client.signal)[Symbol.asyncIterator]().next();
  setImmediate(() => client.abort(new Error("gone")));
  await expect(first).rejects.toThrow("gone");
  expect(engine.requests).toEqual([]);
});

function makeOptions(overrides: Partial<GenerationOptions> = {}): GenerationOptions {
  return { sampling: greedy, maxTokens: undefined, stopStrings: [], ...overrides };
}

type Asked = Partial<GenerationOptions> & { thinking?: boolean; toolUse?: ToolUse };

async function collect(engine: TokenSource, { thinking = false, toolUse, ...options }: Asked = {}) {
  const events: ChatEvent[] = [];
  const chat = { ...makeChat("What is it?", thinking), ...(toolUse && { toolUse }) };
  const answer = makeService(engine).complete(chat, makeOptions(options), new AbortController().signal);
  for await (const event of answer) events.push(event);
  return events;
}

function callsOf(events: readonly ChatEvent[]): object[] {
  const calls: { name: string; arguments: string }[] = [];
  for (const event of events) {
    if (event.type === "tool-call") calls.push({ name: event.name, arguments: "" });
    else if (event.type === "tool-arguments") calls.at(-1)!.arguments += event.text;
  }
  return calls;
}

function textOf(events: readonly ChatEvent[], type: "content" | "reasoning"): string {
  return events.map((event) => (event.type === type ? event.text : "")).join("");
}
