import { describe, expect, test } from "vitest";
import { type RequestLimits, defaultLimits } from "../../src/api/app-options.ts";
import { toChat, toGenerationOptions } from "../../src/api/from-openai.ts";
import { toGenerationDefaults } from "../../src/api/generation-defaults.ts";
import { MediaParts } from "../../src/api/media-parts.ts";
import { parseChatRequest } from "../../src/api/openai-schema.ts";
import { noRemoteMedia, pngBase64, userSays } from "./make-app.ts";

const png = `data:image/png;base64,${pngBase64}`;
const pngBytes = Buffer.from(pngBase64, "base64");

const chatOf = (body: object, defaultThinking = false, limits: RequestLimits = defaultLimits) =>
  toChat(parseChatRequest(body), defaultThinking, new MediaParts(limits, noRemoteMedia, new AbortController().signal));
const optionsOf = (fields: object, defaults = {}) => toGenerationOptions(parseChatRequest(userSays("a", fields)), defaults);

describe("messages", () => {
  test("roles, plain contents and parts keep their order; developer is system", async () => {
    const chat = await chatOf({
      messages: [
        { role: "developer", content: "Be brief." },
        {
          role: "user",
          name: "eve",
          content: [
            { type: "image_url", image_url: { url: png } },
            { type: "text", text: "What?" },
          ],
        },
        { role: "assistant", content: "A dot." },
        { role: "system", content: [{ type: "text", text: "Be kind." }] },
      ],
    });

    expect(chat.messages).toEqual([
      { role: "system", content: [{ type: "text", text: "Be brief." }] },
      {
        role: "user",
        content: [
          { type: "image", bytes: pngBytes, param: "messages[1].content[0].image_url.url" },
          { type: "text", text: "What?" },
        ],
      },
      { role: "assistant", content: [{ type: "text", text: "A dot." }] },
      { role: "system", content: [{ type: "text", text: "Be kind." }] },
    ]);
  });

  test.each([
    [{ reasoning_content: "hm" }, "hm"],
    [{ reasoning: "hm" }, "hm"],
    [{ reasoning_content: "one", reasoning: "two" }, "one"],
    [{ reasoning_content: null, reasoning: "two" }, "two"],
  ])("thinking of an earlier answer comes back: %o", async (fields, reasoning) => {
    const chat = await chatOf({ messages: [{ role: "assistant", content: "A.", ...fields }] });

    expect(chat.messages[0]).toEqual({ role: "assistant", content: [{ type: "text", text: "A." }], reasoning });
  });

  test.each([
    [{ content: "So" }, { begun: { text: "So" }, thinking: false }],
    [{ content: [{ type: "text", text: "<think>\nHm.\n</think>\n\nSo" }] }, { begun: { reasoning: "Hm.\n", text: "So" }, thinking: true }],
    [{ content: "<think>\nHm" }, { begun: { reasoning: "Hm" }, thinking: true }],
    [
      { content: null, reasoning_content: "Hm" },
      { begun: { reasoning: "Hm" }, thinking: true },
    ],
    [
      { content: "So <think>", reasoning: "Hm" },
      { begun: { reasoning: "Hm", text: "So <think>" }, thinking: true },
    ],
    [{ content: "" }, { begun: undefined, thinking: true }],
  ])("an answer is begun by the last message: %o", async (fields, expected) => {
    const ask = { role: "user", content: "Hi" };
    const last = { role: "assistant", ...fields };
    const spellings = [
      { messages: [ask, last], continue_final_message: true },
      { messages: [ask, { ...last, prefix: true }] },
      { messages: [ask, { ...last, partial: true }] },
    ];
    for (const spelling of spellings) {
      const chat = await chatOf({ enable_thinking: true, ...spelling });
      expect(chat.messages).toEqual([{ role: "user", content: [{ type: "text", text: "Hi" }] }]);
      expect({ begun: undefined, ...chat }).toMatchObject(expected);
    }
  });

  test.each([
    ['expected an assistant message as the last one, got the role "user"', { role: "user", content: "So" }],
    [
      "expected a message without tool calls",
      { role: "assistant", tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }] },
    ],
    ["expected only text in it", { role: "assistant", content: [{ type: "image_url", image_url: { url: png } }] }],
  ])("no answer can be begun so: %s", async (problem, last) => {
    const asked = chatOf({ messages: [{ role: "user", content: "Hi" }, last], continue_final_message: true });
    await expect(asked).rejects.toThrow(`messages[1]: to continue an answer, ${problem}`);
  });

  test("what an answer refused comes back as its text, and a tool's result may be empty", async () => {
    const chat = await chatOf({
      messages: [
        {
          role: "assistant",
          content: [
            { type: "text", text: "Hm. " },
            { type: "refusal", refusal: "No." },
          ],
        },
        { role: "tool", content: [], tool_call_id: "1" },
      ],
    });

    expect(chat.messages).toEqual([
      {
        role: "assistant",
        content: [
          { type: "text", text: "Hm. " },
          { type: "text", text: "No." },
        ],
      },
      { role: "tool", toolCallId: "1", content: [] },
    ]);
  });

  test("an assistant message without content is empty", async () => {
    const chat = await chatOf({ messages: [{ role: "assistant", content: null }] });

    expect(chat.messages[0]).toEqual({ role: "assistant", content: [] });
  });

  test.each([
    ["low", 200_704],
    ["high", undefined],
    ["auto", undefined],
    [null, undefined],
  ])("detail %s allows %s pixels", async (detail, maxPixels) => {
    const chat = await chatOf(userSays([{ type: "image_url", image_url: { url: png, detail } }]));

    expect(chat.messages[0]?.content[0]).toEqual({
      type: "image",
      bytes: pngBytes,
      param: "messages[0].content[0].image_url.url",
      ...(maxPixels !== undefined && { maxPixels }),
    });
  });
});

describe("the thinking switch", () => {
  test.each([
    [{ chat_template_kwargs: { enable_thinking: true } }, true],
    [{ chat_template_kwargs: { options: { thinking_mode: "open" } } }, true],
    [{ enable_thinking: true }, true],
    [{ metadata: { enable_thinking: true } }, true],
    [{ metadata: { enable_thinking: "true" } }, true],
    [{ reasoning_effort: "low" }, true],
    [{ thinking: { type: "enabled" } }, true],
    [{ thinking: { type: "adaptive" } }, true],
    [{ chat_template_kwargs: { enable_thinking: false } }, false],
    [{ chat_template_kwargs: { options: { thinking_mode: "close" } } }, false],
    [{ enable_thinking: false }, false],
    [{ metadata: { enable_thinking: false } }, false],
    [{ metadata: { enable_thinking: "false" } }, false],
    [{ reasoning_effort: "none" }, false],
    [{ thinking: { type: "disabled" } }, false],
    // Of several, the more specific one.
    [{ chat_template_kwargs: { enable_thinking: false, options: { thinking_mode: "open" } } }, false],
    [{ chat_template_kwargs: { options: { thinking_mode: "close" } }, enable_thinking: true }, false],
    [{ enable_thinking: false, metadata: { enable_thinking: true } }, false],
    [{ metadata: { enable_thinking: "false" }, reasoning_effort: "high" }, false],
    [{ enable_thinking: false, thinking: { type: "enabled" } }, false],
    [{ thinking: { type: "auto" }, reasoning_effort: "high" }, true],
    [{ chat_template_kwargs: {}, metadata: { run: "1" }, reasoning_effort: "high" }, true],
  ])("%o means %s", async (fields, thinking) => {
    expect(await chatOf(userSays("a", fields), !thinking)).toHaveProperty("thinking", thinking);
  });

  test.each([true, false])("without any, the server's default %s holds", async (defaultThinking) => {
    expect(await chatOf(userSays("a"), defaultThinking)).toHaveProperty("thinking", defaultThinking);
  });
});

describe("sampling", () => {
  test("without fields it is OpenAI's default with a fresh seed", () => {
    const options = optionsOf({});

    expect(options).toEqual({
      sampling: {
        temperature: 1,
        topP: 1,
        topK: 0,
        minP: 0,
        repetitionPenalty: 1,
        presencePenalty: 0,
        frequencyPenalty: 0,
        seed: expect.any(Number),
      },
      maxTokens: undefined,
      stopStrings: [],
      choiceCount: 1,
      stopTokenIds: [],
      ignoresEndTokens: false,
      thinkingBudget: undefined,
      spellsSpecials: false,
      returnsTokenIds: false,
    });
    expect(Number.isSafeInteger(options.sampling.seed)).toBe(true);
    expect(optionsOf({}).sampling.seed).not.toBe(options.sampling.seed);
  });

  test("every field arrives", () => {
    const options = optionsOf({
      max_tokens: 9,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.1,
      repetition_penalty: 1.1,
      presence_penalty: 0.2,
      frequency_penalty: -0.2,
      seed: 7,
      stop: ["a", "b"],
      n: 2,
      stop_token_ids: [3, 7],
      ignore_eos: true,
      reasoning_max_tokens: 4,
      skip_special_tokens: false,
      return_token_ids: true,
    });

    expect(options).toEqual({
      sampling: {
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        minP: 0.1,
        repetitionPenalty: 1.1,
        presencePenalty: 0.2,
        frequencyPenalty: -0.2,
        seed: 7,
      },
      maxTokens: 9,
      stopStrings: ["a", "b"],
      choiceCount: 2,
      stopTokenIds: [3, 7],
      ignoresEndTokens: true,
      thinkingBudget: 4,
      spellsSpecials: true,
      returnsTokenIds: true,
    });
  });

  test.each([
    [{ max_completion_tokens: 5 }, 5],
    [{ max_completion_tokens: 5, max_tokens: 5 }, 5],
    [{ max_tokens: 6 }, 6],
  ])("%o limits the answer to %s tokens", (fields, maxTokens) => {
    expect(optionsOf(fields).maxTokens).toBe(maxTokens);
  });

  test.each([-1, 0])("top_k %s is off", (topK) => {
    expect(optionsOf({ top_k: topK }).sampling.topK).toBe(0);
  });

  test.each([
    [0, 0],
    [2 ** 53 - 1, 2 ** 53 - 1],
    [-1, 2 ** 53 - 1],
    [2 ** 53 + 2, 2],
    [2 ** 64, 0],
    [-(2 ** 63), 0],
    [1e300, 0],
  ])("seed %s is %s", (seed, folded) => {
    expect(optionsOf({ seed }).sampling.seed).toBe(folded);
  });

  test.each([
    ["one string", "x", ["x"]],
    ["no strings", [], []],
    ["null", null, []],
  ])("stop with %s", (_, stop, stopStrings) => {
    expect(optionsOf({ stop }).stopStrings).toEqual(stopStrings);
  });

  test("the checkpoint's values hold where the request says nothing", () => {
    const defaults = { temperature: 0.3, topP: 0.8, topK: 50, repetitionPenalty: 1.05 };

    expect(optionsOf({}, defaults).sampling).toMatchObject(defaults);
    expect(optionsOf({ temperature: 1, top_p: 1, top_k: -1, repetition_penalty: 1 }, defaults).sampling).toMatchObject({
      temperature: 1,
      topP: 1,
      topK: 0,
      repetitionPenalty: 1,
    });
  });
});

describe("a checkpoint's generation_config.json", () => {
  test.each([
    ["nothing", {}, {}],
    ["no sampling", { do_sample: false, temperature: 0.7 }, { temperature: 0 }],
    ["sampling", { do_sample: true, temperature: 0.7, top_p: 0.8 }, { temperature: 0.7, topP: 0.8 }],
    ["all", { temperature: 0.2, top_k: 20, repetition_penalty: 1.05 }, { temperature: 0.2, topK: 20, repetitionPenalty: 1.05 }],
    ["values out of range", { temperature: -1, top_p: "x", top_k: null, eos_token_id: 2 }, {}],
  ])("%s", (_, config, defaults) => {
    expect(toGenerationDefaults(config)).toEqual(defaults);
  });
});
