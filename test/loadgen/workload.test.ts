import { writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { readDataset } from "../../src/loadgen/dataset.ts";
import { textOfTokens, tokensPerWord } from "../../src/loadgen/random-text.ts";
import { SeededRandom } from "../../src/loadgen/seeded-random.ts";
import { makeConversations, requestBody, requestPath, type SyntheticPrompts } from "../../src/loadgen/workload.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** A tokenizer that splits long words: two tokens from six letters on. */
const count = async (text: string) => text.split(" ").reduce((sum, word) => sum + (word.length > 5 ? 2 : 1), 0);
const countOnly = (text: string) => text.split(" ").length;

const prompts: SyntheticPrompts = { inputTokens: 20, prefixTokens: 0, imagesPerRequest: 0, imageWidth: 32, imageHeight: 16 };
const answers = { endpoint: "chat", outputTokens: 9, respectsEnd: false, thinking: undefined, temperature: 0 } as const;

describe("random texts", () => {
  test.each([1, 7, 100, 1000])("of %d tokens have exactly so many by the server's count", async (tokens) => {
    const { ratio } = await tokensPerWord(count, 1);

    expect(await count(await textOfTokens(new SeededRandom(1), tokens, ratio, count))).toBe(tokens);
  });

  test("may be long, and far off at first", async () => {
    const countHalf = async (text: string) => Math.round(countOnly(text) / 2);
    const text = await textOfTokens(new SeededRandom(1), 400_000, 1, countHalf);
    expect(await countHalf(text)).toBeGreaterThan(398_000);
  });

  test("are sized by the ratio where texts cannot be counted", async () => {
    expect(countOnly(await textOfTokens(new SeededRandom(1), 300, 1.5))).toBe(200);
  });

  test("learn the ratio from the difference of two samples, so that a chat template does not count", async () => {
    const plain = await tokensPerWord(count, 1);
    const templated = await tokensPerWord(async (text) => 50 + (await count(text)), 1);

    expect(templated).toEqual(plain);
    expect(plain.isCounted).toBe(true);
    expect(plain.ratio).toBeGreaterThan(1);
  });

  test("say when nobody counts", async () => {
    expect(await tokensPerWord(async () => undefined, 1)).toMatchObject({ isCounted: false });
    expect(await tokensPerWord(async () => 7, 1)).toMatchObject({ isCounted: false });
  });
});

describe("made-up conversations", () => {
  const sizing = { tokensPerWord: 1.2, count };
  const textOf = (conversation: { messages: readonly { content: unknown }[] }) => String(conversation.messages[0]!.content);

  test("are the same for the same seed, however many are made, and differ from each other", async () => {
    const five = await makeConversations(5, prompts, sizing, 3);
    const three = await makeConversations(3, prompts, sizing, 3);

    expect(three).toEqual(five.slice(0, 3));
    expect(new Set(five.map(textOf)).size).toBe(5);
    expect(textOf((await makeConversations(1, prompts, sizing, 4))[0]!)).not.toBe(textOf(five[0]!));
  });

  test("begin alike where a prefix is wanted", async () => {
    const made = await makeConversations(3, { ...prompts, prefixTokens: 10 }, sizing, 3);
    const prefixes = made.map((conversation) => textOf(conversation).split(" ").slice(0, 6).join(" "));

    expect(new Set(prefixes).size).toBe(1);
    expect(await count(textOf(made[0]!))).toBe(30);
  });

  test("have pictures of the wanted size, each different", async () => {
    const made = await makeConversations(2, { ...prompts, imagesPerRequest: 2 }, sizing, 3);
    const urls = made.flatMap(({ messages }) =>
      (messages[0]!.content as { image_url?: { url: string } }[]).flatMap((part) => part.image_url?.url ?? []),
    );

    expect(new Set(urls).size).toBe(4);
    const { width, height, format } = await sharp(Buffer.from(urls[0]!.split(",")[1]!, "base64")).metadata();
    expect({ width, height, format }).toEqual({ width: 32, height: 16, format: "png" });
  });
});

describe("request bodies", () => {
  const conversation = { messages: [{ role: "user", content: "hello" }] };

  test("ask for answers of exactly the wanted length, streamed and with usage", () => {
    expect(requestBody(conversation, "m", answers)).toEqual({
      model: "m",
      messages: conversation.messages,
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 9,
      temperature: 0,
      ignore_eos: true,
      min_tokens: 9,
    });
  });

  test("leave the end to the model, and think, where told", () => {
    const body = requestBody({ ...conversation, maxTokens: 4 }, "m", { ...answers, respectsEnd: true, thinking: true });

    expect(body).toMatchObject({ max_tokens: 4, chat_template_kwargs: { enable_thinking: true } });
    expect(body).not.toHaveProperty("ignore_eos");
    expect(body).not.toHaveProperty("min_tokens");
  });

  test("of text completions have one text", () => {
    const settings = { ...answers, endpoint: "completions" } as const;

    expect(requestBody(conversation, "m", settings)).toMatchObject({ prompt: "hello" });
    expect(requestPath(settings)).toBe("/v1/completions");
    expect(() => requestBody({ messages: [...conversation.messages, ...conversation.messages] }, "m", settings)).toThrow(
      "one text per request",
    );
  });
});

describe("a dataset", () => {
  function write(content: string): string {
    const folder = temporaryFolder();
    const path = join(folder, "chats");
    writeFileSync(path, content);
    return path;
  }
  const hello = [{ role: "user", content: "hello" }];

  test("is read line by line", () => {
    const path = write(`${JSON.stringify(hello)}\n\n${JSON.stringify({ messages: hello, max_tokens: 7 })}\n`);

    expect(readDataset(path)).toEqual([{ messages: hello }, { messages: hello, maxTokens: 7 }]);
  });

  test("may begin with a byte order mark, as Windows writes it", () => {
    expect(readDataset(write(`\uFEFF${JSON.stringify(hello)}\n`))).toEqual([{ messages: hello }]);
  });

  test("of one line is no ShareGPT file", () => {
    expect(readDataset(write(JSON.stringify(hello)))).toEqual([{ messages: hello }]);
  });

  test("as ShareGPT has it gives the first question of each conversation that begins with one", () => {
    const path = write(
      JSON.stringify([
        {
          conversations: [
            { from: "human", value: "hello" },
            { from: "gpt", value: "hi" },
          ],
        },
        { conversations: [{ from: "gpt", value: "hi" }] },
        { conversations: [] },
        null,
      ]),
    );

    expect(readDataset(path)).toEqual([{ messages: hello }]);
  });

  test.each([
    ["no JSON", "{", "line 1: expected JSON, got {"],
    ["a line without messages", `${JSON.stringify(hello)}\n{"prompt": "x"}`, 'line 2: expected chat messages, [{"role": …, "content": …}]'],
    ["a message without a role", '[{"content": "x"}]', "line 1: expected chat messages"],
    [
      "a bad length",
      `{"messages": ${JSON.stringify(hello)}, "max_tokens": 0}`,
      "line 1: expected max_tokens to be a whole number from 1, got 0",
    ],
    ["nothing", "\n", "contains no conversation"],
  ])("with %s is refused", (_name, content, message) => {
    expect(() => readDataset(write(content))).toThrow(message);
  });

  test("that is missing is refused", () => {
    expect(() => readDataset("/nowhere/chats.jsonl")).toThrow("cannot read /nowhere/chats.jsonl: no such file or directory");
  });
});
