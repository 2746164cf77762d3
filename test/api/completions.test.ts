// POST /v1/completions over a scripted service; the official client reads the answers.

import OpenAI from "openai";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ChatEvent } from "../../src/core/events.ts";
import { type Envelope, finished, helloEvents, makeApp, post, started, usage } from "./make-app.ts";

const path = "/v1/completions";

function makeClient(...args: Parameters<typeof makeApp>) {
  const made = makeApp(...args);
  const fetch: typeof globalThis.fetch = async (url, init) => made.app.request(new Request(url as string, init));
  return { ...made, client: new OpenAI({ baseURL: "http://x/v1", apiKey: "key", fetch, maxRetries: 0 }) };
}

const logprobOf = (text: string, logprob: number): ChatEvent => {
  const chosen = { text, bytes: [...Buffer.from(text)], logprob };
  return { type: "logprobs", chosen, top: [chosen, { text: "?", bytes: [63], logprob: -Infinity }] };
};
const withLogprobs: ChatEvent[] = [
  started,
  logprobOf("Hel", -0.5),
  { type: "content", text: "Hel" },
  logprobOf("lo.", -1),
  { type: "content", text: "lo." },
  finished,
];
/** Of a prompt of two tokens, and two answers of one. */
const chosen = { tokenId: 7, text: "x", bytes: [120], logprob: -0.5 };
const other = { tokenId: 8, text: "y", bytes: [121], logprob: -2 };
const scoredPrompt: ChatEvent[] = [
  started,
  { type: "prompt-token", choice: 0, tokenId: 4, text: "a", bytes: [97], logprob: undefined, rank: undefined, top: [] },
  { type: "prompt-token", choice: 0, tokenId: 5, text: " b", bytes: [32, 98], logprob: -Infinity, rank: 3, top: [other, chosen] },
  ...[0, 1].flatMap((choice) => [
    { type: "logprobs", choice, chosen, top: [chosen] } as const,
    { type: "content", choice, text: "x" } as const,
    { ...finished, choice } as const,
  ]),
];
const expectedLogprobs = {
  tokens: ["Hel", "lo."],
  token_logprobs: [-0.5, -1],
  top_logprobs: [
    { Hel: -0.5, "?": -9999 },
    { "lo.": -1, "?": -9999 },
  ],
  text_offset: [0, 3],
};

describe("prompts", () => {
  test.each<[unknown, object[]]>([
    ["Once", [{ text: "Once", param: "prompt" }]],
    ["", [{ text: "", param: "prompt" }]],
    [
      ["One", "Two"],
      [
        { text: "One", param: "prompt[0]" },
        { text: "Two", param: "prompt[1]" },
      ],
    ],
    [[5, 6], [{ tokenIds: [5, 6], param: "prompt" }]],
    [
      [[5], [6, 7]],
      [
        { tokenIds: [5], param: "prompt[0]" },
        { tokenIds: [6, 7], param: "prompt[1]" },
      ],
    ],
  ])("%j", async (prompt, expected) => {
    const { app, textCalls } = makeApp();

    const response = await app.request(path, post({ prompt }));

    expect(response.status).toBe(200);
    expect(textCalls[0]?.prompts).toEqual(expected);
  });

  test("answers to several come in order, and each prompt's tokens are counted once", async () => {
    const { client, textCalls } = makeClient();

    const completion = await client.completions.create({ model: "ernie", prompt: ["a", "b"], n: 2, echo: true });

    expect(completion.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, "aHello."],
      [1, "aHello."],
      [2, "bHello."],
      [3, "bHello."],
    ]);
    expect(completion.usage).toMatchObject({ prompt_tokens: 2 * usage.promptTokens, completion_tokens: 4 * usage.completionTokens });
    expect(textCalls[0]?.options.choiceCount).toBe(2);
  });
});

test("an answer has 16 tokens unless the request says", async () => {
  const { app, textCalls } = makeApp();

  await app.request(path, post({ prompt: "a" }));
  await app.request(path, post({ prompt: "a", max_tokens: 99, temperature: 0, stop: "x", logprobs: 0, seed: 4 }));
  await app.request(path, post({ prompt: "a", max_tokens: -1, min_tokens: 20 }));

  expect(textCalls.map(({ options }) => options.maxTokens)).toEqual([16, 99, undefined]); // undefined: the rest of the context
  expect(textCalls[0]?.options.logprobCount).toBeUndefined();
  expect(textCalls[1]?.options).toMatchObject({ logprobCount: 0, stopStrings: ["x"], sampling: { temperature: 0, seed: 4 } });
});

describe("log-probabilities", () => {
  test("come in the old form, with the places of the tokens", async () => {
    const { client } = makeClient(withLogprobs);

    const completion = await client.completions.create({ model: "ernie", prompt: "a", logprobs: 2 });

    expect(completion.choices[0]?.logprobs).toEqual(expectedLogprobs);
  });

  test("begin with those of the prompt where it is echoed, its first token apart, for all answers to it", async () => {
    const { client, textCalls } = makeClient(scoredPrompt);

    const fields = { model: "ernie", prompt: "a b", max_tokens: 1, logprobs: 1, n: 2 };
    const { choices } = await client.completions.create({ ...fields, echo: true });

    expect(choices.map(({ text }) => text)).toEqual(["a bx", "a bx"]);
    for (const { logprobs } of choices) {
      expect(logprobs).toEqual({
        tokens: ["a", " b", "x"],
        token_logprobs: [null, -9999, -0.5],
        top_logprobs: [null, { y: -2 }, { x: -0.5 }],
        text_offset: [0, 1, 3],
      });
    }
    await client.completions.create(fields);
    const asked = textCalls.map(({ options: { promptLogprobCount, tellsEndLogprob } }) => [promptLogprobCount, tellsEndLogprob]);
    expect(asked).toEqual([
      [1, true],
      [undefined, undefined],
    ]);
  });

  test("of an echoed prompt come in a stream with its text, ahead of each answer to it", async () => {
    const { client } = makeClient(scoredPrompt);
    const stream = await client.completions.create({
      model: "ernie",
      prompt: "a b",
      max_tokens: 1,
      logprobs: 1,
      n: 2,
      echo: true,
      stream: true,
    });

    const pieces: unknown[] = [];
    for await (const { choices } of stream) {
      for (const { index, text, logprobs } of choices) pieces.push([index, text, logprobs?.tokens, logprobs?.text_offset]);
    }

    const echoed = ["a b", ["a", " b"], [0, 1]];
    const answered = ["x", ["x"], [3]];
    const ended = ["", undefined, undefined];
    expect(pieces).toEqual([
      [0, ...echoed],
      [1, ...echoed],
      [0, ...answered],
      [0, ...ended],
      [1, ...answered],
      [1, ...ended],
    ]);
  });

  test("name the places of tokens in the text, where several make one character too", async () => {
    const owl = [...Buffer.from("\u{1f989}")];
    const token = (bytes: number[], text: string): ChatEvent => ({ type: "logprobs", chosen: { text, bytes, logprob: -1 }, top: [] });
    const pieces = [token(owl.slice(0, 3), "bytes:\\xf0\\x9f\\xa6"), token(owl.slice(3), "bytes:\\x89"), token([33], "!")];
    const { client } = makeClient([started, ...pieces, { type: "content", text: "\u{1f989}!" }, finished]);

    const completion = await client.completions.create({ model: "ernie", prompt: "a", logprobs: 0 });

    expect(completion.choices[0]?.logprobs?.text_offset).toEqual([0, 0, 2]);
  });

  test("count no text for a control token that is not shown, and all of a token whose end waits for the next", async () => {
    const hidden: ChatEvent = { ...(logprobOf("</s>", -1) as ChatEvent & { type: "logprobs" }), isHidden: true };
    const pieces: ChatEvent[] = [logprobOf("ab", -1), { type: "content", text: "a" }, hidden, logprobOf("x", -1), logprobOf("y", -1)];
    const script: ChatEvent[] = [started, ...pieces, { type: "content", text: "bxy" }, finished];

    const { choices } = await makeClient(script).client.completions.create({ model: "ernie", prompt: "a", logprobs: 0 });

    expect(choices[0]?.logprobs?.text_offset).toEqual([0, 2, 2, 3]);
    expect((await streamedLogprobs(script)).text_offset).toEqual([0, 2, 2, 3]);
  });

  test("in a stream add up to the same", async () => {
    expect(await streamedLogprobs(withLogprobs)).toEqual(expectedLogprobs);
  });

  async function streamedLogprobs(script: readonly ChatEvent[]) {
    const { client } = makeClient(script);
    const all: Record<string, unknown[]> = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
    for await (const chunk of await client.completions.create({ model: "ernie", prompt: "a", logprobs: 2, stream: true })) {
      for (const [name, values] of Object.entries(chunk.choices[0]?.logprobs ?? {})) all[name]!.push(...(values as unknown[]));
    }
    return all;
  }
});

describe("prompt_logprobs", () => {
  const ask = async (fields: object) => {
    const { app, textCalls } = makeApp(scoredPrompt);
    const response = await app.request(path, post({ prompt: "a b", n: 2, max_tokens: 1, ...fields }));
    const { choices } = (await response.json()) as { choices: { prompt_logprobs?: unknown; logprobs: { tokens: string[] } | null }[] };
    return { choices, options: textCalls[0]!.options };
  };
  const own = { logprob: -9999, rank: 3, decoded_token: " b" };

  test("tell of each token of the prompt, for all answers to it, by id, and of the likeliest in its place", async () => {
    const { choices, options } = await ask({ prompt_logprobs: 2 });

    const inItsPlace = { "5": own, "8": { logprob: -2, rank: 1, decoded_token: "y" }, "7": { logprob: -0.5, rank: 2, decoded_token: "x" } };
    for (const choice of choices) expect(choice.prompt_logprobs).toEqual([null, inItsPlace]);
    expect(options).toMatchObject({ promptLogprobCount: 2, logprobCount: undefined });
    expect(options.tellsEndLogprob).toBeUndefined();
  });

  test("beside an echo with log-probabilities, each has as many as it asks for", async () => {
    const { choices, options } = await ask({ prompt_logprobs: 0, logprobs: 1, echo: true });

    expect(choices[0]!.prompt_logprobs).toEqual([null, { "5": own }]);
    expect(choices[0]!.logprobs).toMatchObject({ tokens: ["a", " b", "x"], top_logprobs: [null, { y: -2 }, { x: -0.5 }] });
    expect(options).toMatchObject({ promptLogprobCount: 1, logprobCount: 1, tellsEndLogprob: true });
  });

  test("and an echo come without an answer where none is wanted, streamed or not", async () => {
    const { choices, options } = await ask({ prompt_logprobs: 0, logprobs: 1, echo: true, max_tokens: 0 });

    expect(choices[0]).toMatchObject({ text: "a b", finish_reason: "length", logprobs: { tokens: ["a", " b"] } });
    expect(choices[0]!.prompt_logprobs).toEqual([null, { "5": own }]);
    expect(options.maxTokens).toBe(1);
    const { client } = makeClient(scoredPrompt);
    const stream = await client.completions.create({ model: "ernie", prompt: "a b", n: 2, max_tokens: 0, echo: true, stream: true });
    const texts: string[] = [];
    for await (const chunk of stream) texts.push(...chunk.choices.map(({ text, finish_reason: reason }) => `${text}|${reason}`));
    expect(texts).toEqual(["a b|null", "a b|null", "|length", "|length"]);
  });

  test("are not there where nobody asks", async () => {
    for (const fields of [{}, { prompt_logprobs: null }, { prompt_logprobs: false }, { echo: true, logprobs: 1 }])
      expect((await ask(fields)).choices[0]).not.toHaveProperty("prompt_logprobs");
  });
});

describe("a stream", () => {
  test("begins with the prompt where it is echoed, and ends with reason and usage", async () => {
    const { client } = makeClient(helloEvents);
    const stream = await client.completions.create({
      model: "ernie",
      prompt: [[72, 105], [72]],
      n: 2,
      stream: true,
      echo: true,
      stream_options: { include_usage: true },
    });

    const texts = ["", "", "", ""];
    const reasons: unknown[] = [];
    let total: unknown;
    for await (const chunk of stream) {
      expect(chunk.object).toBe("text_completion");
      if (chunk.choices.length > 0) expect(chunk.usage).toBeNull();
      for (const { index, text, finish_reason: reason } of chunk.choices) {
        texts[index] += text;
        if (reason) reasons.push([index, reason]);
      }
      total = chunk.usage ?? total;
    }

    expect(texts).toEqual(["HiHello.", "HiHello.", "HHello.", "HHello."]);
    expect(reasons).toEqual([0, 1, 2, 3].map((index) => [index, "stop"]));
    expect(total).toMatchObject({ prompt_tokens: 24, completion_tokens: 12, total_tokens: 36 });
  });

  test.each([
    ["fails", [new Error("secret")]],
    ["ends without a reason", []],
  ])("that %s breaks off and says why", async (_, rest) => {
    const { client } = makeClient([started, { type: "content", text: "He" }, ...rest]);

    const read = async () => {
      for await (const _ of await client.completions.create({ model: "ernie", prompt: "a", stream: true }));
    };

    await expect(read()).rejects.toThrow(/the server failed while answering/);
  });

  test("is frames of JSON, then [DONE]", async () => {
    const response = await makeApp().app.request(path, post({ prompt: "a", stream: true }));

    const text = await response.text();

    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(text).toContain('"finish_reason":"stop"');
    expect(text).not.toContain('"usage"');
  });
});

test.each<[object, string, string]>([
  [{}, "prompt", "a string, an array of strings"],
  [{ prompt: [] }, "prompt", "got an empty array"],
  [{ prompt: ["a", 1] }, "prompt[1]", "a string, got 1"],
  [{ prompt: Array<string>(65).fill("a") }, "prompt", "at most 64 prompts in one request"],
  [{ prompt: "a", suffix: "b" }, "suffix", "cannot fill a gap"],
  [{ prompt: "a", best_of: 2 }, "best_of", "the same as n (1), got 2"],
  [
    { prompt: "a", prompt_logprobs: 0, stream: true },
    "prompt_logprobs",
    'not supported in a stream, got 0; leave it out, or send "stream": false',
  ],
  [{ prompt: "a", prompt_logprobs: -1 }, "prompt_logprobs", "an integer from 0 to 20, got -1"],
  [{ prompt: "a", prompt_logprobs: true }, "prompt_logprobs", "an integer from 0 to 20, or false, got true"],
  [{ prompt: "a", max_tokens: 0 }, "max_tokens", "at least 1 without echo or prompt_logprobs, got 0"],
  [{ prompt: "a", max_tokens: -2 }, "max_tokens", "an integer of at least 0, or -1 for no limit, got -2"],
  [{ prompt: "a", max_tokens: 0, echo: true, min_tokens: 1 }, "min_tokens", "at most max_tokens (0), got 1"],
  [{ prompt: "a", logprobs: 21 }, "logprobs", "an integer from 0 to 20, got 21"],
  [{ prompt: "a", logprobs: true }, "logprobs", "an integer from 0 to 20, got true"],
  [{ prompt: "a", min_tokens: 17 }, "min_tokens", "at most max_tokens (16), got 17"],
  [{ prompt: Array<string>(64).fill("a"), n: 3 }, "n", "at most 128 answers"],
])("%j is refused, naming the field", async (body, param, message) => {
  const response = await makeApp().app.request(path, post(body));

  const { error } = (await response.json()) as Envelope;
  expect(response.status).toBe(400);
  expect(error.param).toContain(param);
  expect(error.message).toContain(message);
});

const anything = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom<unknown>(null, 0, 1, -1, 1e308, "", "a", true, [], {}));
const prompt = fc.oneof(
  fc.string(),
  fc.array(fc.string(), { maxLength: 4 }),
  fc.array(fc.nat(300), { maxLength: 5 }),
  fc.array(fc.array(fc.nat(300), { maxLength: 3 }), { maxLength: 3 }),
  anything,
);
const names =
  "n best_of suffix echo logprobs prompt_logprobs max_tokens min_tokens stream stop seed temperature top_p logit_bias stop_token_ids response_format guided_regex user";
const body = fc
  .tuple(prompt, fc.dictionary(fc.constantFrom(...names.split(" ")), anything, { maxKeys: 3 }))
  .map(([value, fields]) => ({ prompt: value, ...fields }));

test("any request-like JSON is answered or refused in the envelope", async () => {
  const { app } = makeApp();
  const statuses = new Set<number>();
  await fc.assert(
    fc.asyncProperty(body, async (value) => {
      const response = await app.request(path, post(value));
      const text = await response.text();
      statuses.add(response.status);
      expect([200, 400]).toContain(response.status);
      if (response.status === 400) expect((JSON.parse(text) as Envelope).error.type).toBe("invalid_request_error");
    }),
    { numRuns: 1000 },
  );
  expect([...statuses].toSorted()).toEqual([200, 400]);
});
