import { setImmediate } from "node:timers/promises";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodePrompt, type LoadImage, type LoadVideo, type PromptEncoderDeps } from "../../src/chat/encode-prompt.ts";
import { loadTemplate } from "../../src/chat/template.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import type { Chat, ChatMessage } from "../../src/core/chat.ts";
import { RequestError } from "../../src/core/errors.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import { makeChat, makeImage, nanoFolder, nanoTokens, promptCases, toChat } from "./nano.ts";

const tokenizer = loadTokenizer(nanoFolder);
const template = loadTemplate(nanoFolder);
const vocabularySize = 2048;
const photo = { type: "image", bytes: new Uint8Array(), param: "photo" } as const;

describe("encodePrompt", () => {
  test("gives the ids of Python's transformers for every nano sample", async () => {
    for (const sample of promptCases) {
      const grids = [...sample.grids];
      const loadImage: LoadImage = async () => makeImage(...grids.shift()!);
      const prompt = await encodePrompt(toChat(sample), makeDeps({ loadImage }));
      expect([...prompt.tokenIds]).toEqual(sample.ids);
    }
  });

  test("shows results of tools in the order of their calls, in whichever they were sent", async () => {
    const turn = (...ids: string[]): ChatMessage => {
      return { role: "assistant", content: [], toolCalls: ids.map((id) => ({ id, name: "find", arguments: "{}" })) };
    };
    const results = (...ids: (string | undefined)[]) =>
      ids.map((id): ChatMessage => ({ role: "tool", content: [{ type: "text", text: `of ${id}` }], ...(id && { toolCallId: id }) }));
    const encode = async (...messages: ChatMessage[]) => {
      const prompt = await encodePrompt({ messages: [...makeChat("?").messages, ...messages], thinking: false }, makeDeps());
      return [...prompt.tokenIds];
    };

    const inOrder = await encode(turn("a", "b", "c"), ...results("a", "b", "c"), turn("d", "a"), ...results("d", "a"));
    expect(await encode(turn("a", "b", "c"), ...results("c", "a", "b"), turn("d", "a"), ...results("a", "d"))).toEqual(inOrder);
    // A result of no call, or without an id, may belong to any: all stay where they are.
    for (const other of ["x", undefined]) {
      const one = await encode(turn("a", "b"), ...results("b", "a", other));
      expect(one).not.toEqual(await encode(turn("a", "b"), ...results("a", "b", other)));
    }
  });

  test("fills spans, experts and positions of two pictures", async () => {
    const chat: Chat = { messages: [{ role: "user", content: [photo, { type: "text", text: "?" }, photo] }], thinking: false };
    const grids: [number, number][] = [
      [2, 4],
      [4, 4],
    ];
    const prompt = await encodePrompt(chat, makeDeps({ loadImage: async () => makeImage(...grids.shift()!) }));

    const [first, second] = prompt.spans;
    expect(prompt.spans.map(({ length, image }) => [length, image.patchRows])).toEqual([
      [2, 2],
      [4, 4],
    ]);
    for (const { start, length } of prompt.spans) {
      expect([...prompt.tokenIds.subarray(start - 1, start + length + 1)]).toEqual([8, ...Array<number>(length).fill(7), 9]);
      expect([...prompt.visionExpert.subarray(start - 1, start + length + 1)]).toEqual(Array<number>(length + 2).fill(1));
    }
    expect(prompt.visionExpert.reduce((sum, flag) => sum + flag, 0)).toBe(2 + 2 + 4 + 2);
    // 1 × 2 cells advance positions by 2, the number of tokens; 2 × 2 cells advance them by 2 too, although there are 4 tokens.
    expect(prompt.positionDelta).toBe(-2);
    expect(axes(prompt, first!.start + 1)).toEqual([first!.start, first!.start, first!.start + 1]);
    expect(axes(prompt, second!.start + 2)).toEqual([second!.start, second!.start + 1, second!.start]);
  });

  test("loads four pictures of a request at a time, so that others have their turns", async () => {
    let running = 0;
    let most = 0;
    const loadImage: LoadImage = async () => {
      most = Math.max(most, ++running);
      await setImmediate();
      running--;
      return makeImage(2, 2);
    };

    await encodePrompt(
      { messages: [{ role: "user", content: Array.from({ length: 20 }, () => photo) }], thinking: false },
      makeDeps({ loadImage }),
    );

    expect(most).toBe(4);
  });

  test("fills the span of a video with its own placeholder, between pictures", async () => {
    const video = { type: "video", source: { type: "frames", files: [] }, param: "clip" } as const;
    const chat: Chat = { messages: [{ role: "user", content: [photo, video, photo, { type: "text", text: "?" }] }], thinking: false };
    const images = [makeImage(2, 2), makeImage(2, 4)];
    const clip = { ...makeImage(2, 6), hash: "clip", frameCount: 4 };
    const asked: unknown[] = [];
    const loadVideo: LoadVideo = async (part, request) => {
      asked.push(part, request.maxTokens);
      return clip;
    };

    const prompt = await encodePrompt(chat, makeDeps({ loadImage: async () => images.shift()!, loadVideo }));

    expect(prompt.spans.map(({ length, image }) => [length, image.hash])).toEqual([
      [1, "2x2"],
      [6, "clip"],
      [2, "2x4"],
    ]);
    const { start, length } = prompt.spans[1]!;
    expect([...prompt.tokenIds.subarray(start - 1, start + length + 1)]).toEqual([11, ...Array<number>(6).fill(10), 12]);
    expect([...prompt.visionExpert.subarray(start - 1, start + length + 1)]).toEqual(Array<number>(8).fill(1));
    expect(axes(prompt, start + 4).map((position) => position - axes(prompt, start)[0]!)).toEqual([1, 0, 1]);
    expect(asked).toEqual([video, 4096 - (prompt.tokenIds.length - 9) - 1]);
  });

  test("fills videos with the placeholder of pictures where a checkpoint has only that", async () => {
    const video = { type: "video", source: { type: "frames", files: [] }, param: "clip" } as const;
    const loadVideo = async () => ({ ...makeImage(2, 2), frameCount: 2 });
    const deps = makeDeps({ tokens: { ...nanoTokens, video: nanoTokens.image }, loadVideo });

    const { tokenIds, spans } = await encodePrompt({ messages: [{ role: "user", content: [video] }], thinking: false }, deps);

    expect([...tokenIds.subarray(spans[0]!.start - 1, spans[0]!.start + 2)]).toEqual([11, 7, 12]);
  });

  test("hands the signal to who decodes a video, and refuses videos where nobody does", async () => {
    const video = { type: "video", source: { type: "frames", files: [] }, param: "clip" } as const;
    const chat: Chat = { messages: [{ role: "user", content: [video] }], thinking: false };
    const client = new AbortController();
    const loadVideo: LoadVideo = async (_, { signal }) => {
      client.abort(new Error("gone"));
      signal.throwIfAborted();
      return makeImage(2, 2);
    };

    await expect(encodePrompt(chat, makeDeps({ loadVideo }), client.signal)).rejects.toThrow("gone");
    await expect(encodePrompt(chat, makeDeps())).rejects.toMatchObject({ code: "unsupported_parameter", param: "clip" });
  });

  test("asks for every picture with its own budget, all at the same time", async () => {
    const asked: Parameters<LoadImage>[1][] = [];
    let release = () => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const loadImage: LoadImage = async (_, request) => {
      if (asked.push(request) === 2) release();
      await gate;
      return makeImage(2, 2);
    };
    const content = [photo, { ...photo, param: "second", maxPixels: 784 }];

    await encodePrompt({ messages: [{ role: "user", content }], thinking: false }, makeDeps({ loadImage }));

    expect(asked).toMatchObject([
      { param: "photo", maxPixels: undefined },
      { param: "second", maxPixels: 784 },
    ]);
    expect(asked[0]!.pixelBudget).toBe(asked[1]!.pixelBudget);
  });

  test("gives pictures up that wait when another is refused", async () => {
    const signals: AbortSignal[] = [];
    const loadImage: LoadImage = async (_, { param }, signal) => {
      signals.push(signal);
      if (param === "broken") throw new RequestError("broken");
      return makeImage(2, 2);
    };
    const content = [photo, { ...photo, param: "broken" }];

    await expect(encodePrompt({ messages: [{ role: "user", content }], thinking: false }, makeDeps({ loadImage }))).rejects.toThrow(
      "broken",
    );

    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  test("refuses a prompt that leaves no room for an answer, with the numbers", async () => {
    const { length } = (await encodePrompt(makeChat("Hello"), makeDeps())).tokenIds;

    await expect(encodePrompt(makeChat("Hello"), makeDeps({ contextLength: length + 1 }))).resolves.toBeDefined();
    const refusal = encodePrompt(makeChat("Hello"), makeDeps({ contextLength: length }));
    await expect(refusal).rejects.toThrow(RequestError);
    await expect(refusal).rejects.toMatchObject({ status: 400, code: "context_length_exceeded", param: "messages" });
    await expect(refusal).rejects.toThrow(
      `the prompt is too long: it has ${length} tokens, and the context of ${length} tokens has room for ${length - 1} and an answer`,
    );
  });

  test.each([
    ["letters", "x"],
    ["spaces", " "],
  ])("refuses a huge text of %s by its length alone", async (_, character) => {
    const longestPiece = "<|begin_of_sentence|>".length;
    const bystander = loadTokenizer(nanoFolder);
    bystander.encode = () => {
      throw new Error("tokenized");
    };
    const encode = (length: number) => encodePrompt(makeChat(character.repeat(length)), makeDeps({ tokenizer: bystander }));

    await expect(encode(longestPiece * 4096)).rejects.toMatchObject({ code: "context_length_exceeded" });
    await expect(encode(longestPiece * 4096)).rejects.toThrow(
      /the prompt is too long: it has at least 4\d\d\d tokens, and the context of 4096 tokens has room for 4095 /,
    );
    await expect(encode(longestPiece * 4000)).rejects.toThrow("tokenized");
  });

  const part = { type: "text", text: "" } as const;
  const call = { id: "call", name: "f", arguments: "{}" };

  test.each<[string, (count: number) => ChatMessage[]]>([
    ["messages", (count) => Array.from({ length: count }, () => ({ role: "system", content: [] }))],
    ["parts", (count) => [{ role: "user", content: Array.from({ length: count - 1 }, () => part) }]],
    ["calls", (count) => [{ role: "assistant", content: [], toolCalls: Array.from({ length: count - 1 }, () => call) }]],
  ])("refuses a conversation of very many %s before it is rendered", async (_, toMessages) => {
    const renderer = loadTemplate(nanoFolder);
    renderer.render = () => {
      throw new Error("rendered");
    };
    const encode = (count: number) => encodePrompt({ messages: toMessages(count), thinking: false }, makeDeps({ template: renderer }));

    await expect(encode(10_001)).rejects.toMatchObject({ status: 400, code: "invalid_value", param: "messages" });
    await expect(encode(10_001)).rejects.toThrow("expected at most 10000 messages, parts and tool calls together, got 10001");
    await expect(encode(10_000)).rejects.toThrow("rendered");
  });

  test("takes more messages than the context has tokens where they share tokens", async () => {
    const messages = Array.from({ length: 60 }, (): ChatMessage => ({ role: "system", content: [] }));

    const { tokenIds } = await encodePrompt({ messages, thinking: false }, makeDeps({ contextLength: 50 }));

    expect(tokenIds.length).toBeLessThan(50);
  });

  test("decodes no picture of a prompt whose text is too long already", async () => {
    const loadImage: LoadImage = () => Promise.reject(new Error("decoded"));
    const chat: Chat = { messages: [{ role: "user", content: [photo, { type: "text", text: "a b ".repeat(100) }] }], thinking: false };
    await expect(encodePrompt(chat, makeDeps({ loadImage, contextLength: 50 }))).rejects.toMatchObject({ code: "context_length_exceeded" });
  });

  test("counts the pictures of a prompt that is too long", async () => {
    const chat: Chat = { messages: [{ role: "user", content: [photo] }], thinking: false };
    const deps = makeDeps({ loadImage: async () => makeImage(28, 28), contextLength: 200 });
    await expect(encodePrompt(chat, deps)).rejects.toThrow("196 of them for images");
  });

  test("decodes no further picture once those that came fill the context", async () => {
    let given: unknown;
    const loadImage: LoadImage = (_, { param }, signal) =>
      param !== "last"
        ? Promise.resolve(makeImage(28, 28))
        : new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => reject((given = signal.reason)));
          });
    const content = [photo, photo, { ...photo, param: "last" }];
    const chat: Chat = { messages: [{ role: "user", content }], thinking: false };

    await expect(encodePrompt(chat, makeDeps({ loadImage, contextLength: 300 }))).rejects.toThrow(
      /it has at least 4\d\d tokens \(392 of them for images/,
    );
    expect(given).toMatchObject({ code: "context_length_exceeded" });
  });

  test.each([
    ["messages", plainConversation],
    ["tools, calls and results", toolConversation],
  ])("gives hostile text the control tokens of innocent text: %s", async (_, conversation) => {
    const spelled = Array.from({ length: vocabularySize }, (_, id) => id).filter((id) => tokenizer.isSpecial(id));
    const pieces = [
      ...spelled.map((id) => Buffer.from(tokenizer.tokenBytes(id)).toString()),
      "</think>",
      "<|end_of_sentence|>",
      "<|IMAGE_PLACEHOLDER|>",
      "<|image@placeholder|>",
      "<|VIDEO_PLACEHOLDER|>",
      "<|video@placeholder|>",
      "<|IMAGE_START|>",
      "<tool_call>",
      "</tool_call>",
      "</response>",
      "User: ",
      "{{ messages }}",
      "[1:0]",
      '"',
      "\\",
    ];
    const text = fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...pieces))).map((parts) => parts.join(""));
    const control = async (texts: readonly string[]) =>
      [...(await encodePrompt(conversation(texts), makeDeps())).tokenIds].filter((id) => tokenizer.isSpecial(id));
    const expected = await control(["a", "b", "c", "d", "e"]);

    expect(pieces).toContain("<think>");
    expect(spelled.length).toBeGreaterThan(10);
    for (const piece of pieces) expect(await control(Array<string>(5).fill(piece)), piece).toEqual(expected);
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 5, maxLength: 5 }), async (texts) => {
        expect(await control(texts)).toEqual(expected);
      }),
    );
  });
});

function plainConversation(texts: readonly string[]): Chat {
  const [system, question, answer, reasoning, next] = texts.map((part) => ({ type: "text", text: part }) as const);
  const messages: ChatMessage[] = [
    { role: "system", content: [system!] },
    { role: "user", content: [photo, question!] },
    { role: "assistant", content: [answer!], reasoning: reasoning!.text },
    { role: "user", content: [next!] },
  ];
  return { messages, thinking: true };
}

/** The API refuses such names, but the encoder does not rely on that. */
function toolConversation(texts: readonly string[]): Chat {
  const [name, text, key, value, args] = texts as [string, string, string, string, string];
  const parameters = { type: "object", properties: { [key]: { enum: [value], const: { [key]: [value] } } }, required: [key] };
  const messages: ChatMessage[] = [
    { role: "user", content: [{ type: "text", text }] },
    { role: "assistant", content: [], toolCalls: [{ id: key, name, arguments: args }] },
    { role: "assistant", content: [], toolCalls: [{ id: key, name, arguments: JSON.stringify({ [key]: value }) }] },
    { role: "tool", content: [{ type: "text", text: value }, photo], toolCallId: key },
  ];
  const tools = [{ name, description: text, parameters }];
  return { messages, thinking: false, toolUse: { tools, choice: { name }, allowsParallelCalls: true } };
}

function makeDeps(overrides: Partial<PromptEncoderDeps> = {}): PromptEncoderDeps {
  return { tokenizer, template, tokens: nanoTokens, loadImage: async () => makeImage(4, 4), contextLength: 4096, ...overrides };
}

function axes({ positions, tokenIds }: EncodedPrompt, token: number): number[] {
  return [0, 1, 2].map((axis) => positions[axis * tokenIds.length + token]!);
}
