// What single fields of a chat request change in the answers of the whole program.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type OpenAI from "openai";
import { dataUri } from "./samples.ts";
import { type RunningServer, startServer } from "./start-server.ts";

const model = "ernie-vl-nano";
let server: RunningServer;
beforeAll(async () => {
  server = await startServer(["--weights", "fp32"]);
});
afterAll(async () => {
  await server?.stop();
});

/** Fields that the client's types do not know are sent as they are. */
const ask = (content: string | OpenAI.ChatCompletionContentPart[], fields: object = {}) =>
  server.client.chat.completions.create({ model, messages: [{ role: "user", content }], temperature: 0, ...fields });

async function send(path: string, body: object): Promise<unknown> {
  const headers = { "content-type": "application/json" };
  return (await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

const contentOf = (completion: OpenAI.ChatCompletion) => completion.choices[0]?.message.content;
const nameQuestion = "What is your name?";
const nameAnswer = "I am ERNIE-VL nano, a tiny test model that looks at pictures and text.";
const sum = "Add 38 and 38.";

describe("n", () => {
  const draw = async (n: number, seed: number) => {
    const completion = await ask("zq 7 xw", { temperature: 1, seed, n, max_completion_tokens: 24 });
    expect(completion.choices.map(({ index }) => index)).toEqual([...Array(n).keys()]);
    return completion.choices.map(({ message }) => message.content);
  };

  test("answers differ by seeds counted up, and a seed repeats them", async () => {
    const four = await draw(4, 1);
    expect(await draw(4, 1)).toEqual(four);
    expect(new Set(four).size).toBeGreaterThan(1);
    expect((await draw(1, 3))[0]).toBe(four[2]);
  });

  test("a stream holds the same answers", async () => {
    const texts = ["", "", ""];
    const stream = await server.client.chat.completions.create({
      model,
      messages: [{ role: "user", content: "zq 7 xw" }],
      temperature: 1,
      seed: 1,
      n: 3,
      max_completion_tokens: 24,
      stream: true,
    });
    for await (const { choices } of stream) for (const { index, delta } of choices) texts[index] += delta.content ?? "";
    expect(texts).toEqual(await draw(3, 1));
  });
});

describe("clients that leave", () => {
  test.each([
    ["while several answers run", { n: 4 }],
    ["while the answer after a thinking budget runs", { enable_thinking: true, reasoning_max_tokens: 2 }],
  ])("%s, give all slots back", async (_, fields) => {
    const request = { model, messages: [{ role: "user" as const, content: nameQuestion }], temperature: 0, stream: true as const };
    const endless = { ignore_eos: true, max_tokens: 3000 };
    const stream = await server.client.chat.completions.create({ ...request, ...fields, ...endless });
    let seen = 0;
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content && ++seen > 20) break;

    await expect.poll(server.health).toEqual({ status: "ok", running: 0, waiting: 0 });
    expect(contentOf(await ask(nameQuestion))).toBe(nameAnswer);
  });
});

describe("thinking", () => {
  type Thought = OpenAI.ChatCompletionMessage & { reasoning_content?: string; reasoning?: string };
  const think = async (fields: object) => {
    const completion = await ask(sum, fields);
    const message = completion.choices[0]!.message as Thought;
    return { message, count: completion.usage!.completion_tokens_details!.reasoning_tokens! };
  };

  test.each([
    { reasoning_effort: "high" },
    { enable_thinking: true },
    { thinking: { type: "enabled" } },
    { chat_template_kwargs: { enable_thinking: true } },
    { metadata: { enable_thinking: "true" } },
  ])("is switched on by %o", async (fields) => {
    const { message, count } = await think(fields);
    expect(count).toBeGreaterThan(10);
    expect(message.reasoning_content).toContain("The sum is 76.");
    expect(message.reasoning).toBe(message.reasoning_content);
    expect(message.content).toBe("38 + 38 = 76.");
  });

  test.each(["reasoning_max_tokens", "thinking_token_budget"])("ends at the budget %s, and an answer follows", async (field) => {
    const whole = await think({ enable_thinking: true });
    const { message, count } = await think({ enable_thinking: true, [field]: 5 });
    expect(count).toBe(5);
    expect(whole.message.reasoning_content!.startsWith(message.reasoning_content!)).toBe(true);
    expect(message.content).not.toBe("");
  });

  test("a budget that is not used up changes nothing", async () => {
    expect(await think({ enable_thinking: true, reasoning_max_tokens: 500 })).toEqual(await think({ enable_thinking: true }));
  });

  test("a budget of 0 is no thinking", async () => {
    expect((await think({ enable_thinking: true, reasoning_max_tokens: 0 })).count).toBe(0);
  });
});

describe("continue_final_message", () => {
  type Message = { readonly role: "assistant"; readonly content: string; readonly reasoning_content?: string };
  const goOn = async (begun: Partial<Message>) => {
    const messages = [
      { role: "user", content: sum },
      { role: "assistant", ...begun },
    ] as OpenAI.ChatCompletionMessageParam[];
    const fields = { temperature: 0, continue_final_message: true, add_generation_prompt: false };
    const completion = await server.client.chat.completions.create({ model, messages, ...fields });
    return { message: completion.choices[0]!.message as unknown as Message, total: completion.usage!.total_tokens };
  };
  const cuts = (text: string) => [...text.matchAll(/ /g)].map(({ index }) => index);

  test("of an answer begun anywhere, the rest comes", async () => {
    const whole = await ask(sum, { enable_thinking: true });
    const { content, reasoning_content: thought } = whole.choices[0]!.message as unknown as Required<Message>;
    for (const at of cuts(thought)) {
      const { message, total } = await goOn({ content: "", reasoning_content: thought.slice(0, at) });
      expect(message).toMatchObject({ reasoning_content: thought.slice(at), content });
      expect(total).toBe(whole.usage!.total_tokens);
    }
    for (const at of cuts(content)) {
      const { message, total } = await goOn({ content: content.slice(0, at), reasoning_content: thought });
      expect(message.content).toBe(content.slice(at));
      expect(message.reasoning_content).toBeUndefined();
      expect(total).toBe(whole.usage!.total_tokens);
    }
  });
});

test("finds a prefix only under the same cache_salt", async () => {
  const long = "one two three four five six ".repeat(10);
  const hasCached = async (salt: string) => {
    const { usage } = await ask(long, { cache_salt: salt, max_completion_tokens: 1 });
    return usage!.prompt_tokens_details!.cached_tokens! > 0;
  };

  expect([await hasCached("eve"), await hasCached("eve"), await hasCached("bob"), await hasCached("bob")]).toEqual([
    false,
    true,
    false,
    true,
  ]);
});

describe("tokens", () => {
  type WithIds = OpenAI.ChatCompletion & { prompt_token_ids: number[]; choices: { token_ids: number[] }[] };

  test("return_token_ids tells all of them, as /tokenize and /detokenize know them", async () => {
    const completion = (await ask(nameQuestion, { return_token_ids: true })) as WithIds;
    const tokenIds = completion.choices[0]!.token_ids;

    expect(tokenIds).toHaveLength(completion.usage!.completion_tokens);
    expect(await send("/detokenize", { tokens: tokenIds })).toEqual({ prompt: `${nameAnswer}<|end_of_sentence|>` });
    const prompt = await send("/tokenize", { model, messages: [{ role: "user", content: nameQuestion }] });
    expect(prompt).toMatchObject({ tokens: completion.prompt_token_ids, count: completion.usage?.prompt_tokens });
  });

  test("stop_token_ids end the answer before their text", async () => {
    const { tokens } = (await send("/tokenize", { prompt: "," })) as { tokens: number[] };
    const completion = await ask(nameQuestion, { stop_token_ids: tokens });
    expect(contentOf(completion)).toBe("I am ERNIE-VL nano");
    expect(completion.choices[0]?.finish_reason).toBe("stop");
  });

  test("min_tokens keeps the answer from ending before", async () => {
    const plain = await ask(nameQuestion);
    const { completion_tokens: length } = plain.usage!;
    const longer = await ask(nameQuestion, { min_tokens: length + 5, max_completion_tokens: length + 40 });
    expect(longer.usage!.completion_tokens).toBeGreaterThanOrEqual(length + 5);
    expect(contentOf(longer)!.startsWith(nameAnswer)).toBe(true);
    expect(contentOf(await ask(nameQuestion, { min_tokens: length - 1 }))).toBe(nameAnswer); // the end is the last token
    const atLimit = await ask(nameQuestion, { min_tokens: length + 1, max_completion_tokens: length + 1, temperature: 1, seed: 1 });
    expect(atLimit.usage!.completion_tokens).toBe(length + 1);
  });

  test("a form that is complete ends the answer, whatever min_tokens and logit_bias say", async () => {
    const fields = { guided_regex: "[a-c]{3}", min_tokens: 30, temperature: 1, seed: 5, logprobs: true };
    for (const logit_bias of [{}, { "20": 100 }])
      expect(contentOf(await ask(nameQuestion, { ...fields, logit_bias }))).toMatch(/^[a-c]{3}$/);
  });

  test("logit_bias keeps a token out of the answer, or fills the answer with it", async () => {
    const { tokens } = (await send("/tokenize", { prompt: "," })) as { tokens: number[] };
    const bias = (value: number) => Object.fromEntries(tokens.map((tokenId) => [tokenId, value]));
    expect(contentOf(await ask(nameQuestion, { logit_bias: bias(-100) }))).not.toContain(",");
    expect(contentOf(await ask(nameQuestion, { logit_bias: bias(100), max_completion_tokens: 3 }))).toBe(",,,");
    expect(contentOf(await ask(nameQuestion, { logit_bias: {} }))).toBe(nameAnswer);
    await expect(ask(nameQuestion, { logit_bias: { "99999999": 1 }, stream: true })).rejects.toMatchObject({
      status: 400,
      param: "logit_bias",
    });
  });

  test("ignore_eos goes on to the limit", async () => {
    const completion = await ask(nameQuestion, { ignore_eos: true, max_completion_tokens: 60 });
    expect(completion.usage?.completion_tokens).toBe(60);
    expect(completion.choices[0]?.finish_reason).toBe("length");
    expect(contentOf(completion)!.startsWith(nameAnswer)).toBe(true);
  });

  test("skip_special_tokens: false spells what ignore_eos lets through", async () => {
    const completion = await ask(nameQuestion, { ignore_eos: true, max_completion_tokens: 60, skip_special_tokens: false });
    expect(contentOf(completion)!.startsWith(`${nameAnswer}<|end_of_sentence|>`)).toBe(true);
  });
});

describe("logprobs", () => {
  type Logprobs = OpenAI.ChatCompletion.Choice.Logprobs;
  const logprobsOf = (completion: OpenAI.ChatCompletion) => completion.choices[0]!.logprobs!.content!;
  const spell = (logprobs: readonly { bytes: number[] | null }[]) => Buffer.from(logprobs.flatMap(({ bytes }) => bytes!)).toString();

  test("are the model's own, streaming or not, whatever the sampling", async () => {
    const whole = await ask(nameQuestion, { logprobs: true, top_logprobs: 5 });
    const content = logprobsOf(whole);
    expect(contentOf(whole)).toBe(nameAnswer);
    expect(spell(content)).toBe(nameAnswer);
    expect(content).toHaveLength(whole.usage!.completion_tokens - 1); // without the one that ends the answer
    for (const { token, logprob, top_logprobs: top } of content) {
      expect(top).toHaveLength(5);
      expect(top[0]).toMatchObject({ token, logprob }); // greedy
      expect(top.map((other) => other.logprob)).toEqual(top.map((other) => other.logprob).toSorted((a, b) => b - a));
      const mass = top.reduce((sum, other) => sum + Math.exp(other.logprob), 0);
      expect(mass).toBeGreaterThan(0);
      expect(mass).toBeLessThanOrEqual(1 + 1e-6);
    }
    // The first token is drawn from the same logits, whatever is done to them afterwards.
    const sampling = { temperature: 1.7, top_p: 0.01, presence_penalty: 1, logit_bias: { "20": -100 } };
    const [first] = logprobsOf(await ask(nameQuestion, { logprobs: true, top_logprobs: 5, max_completion_tokens: 1, ...sampling }));
    expect(first!.top_logprobs.map(({ token }) => token)).toEqual(content[0]!.top_logprobs.map(({ token }) => token));
    first!.top_logprobs.forEach(({ logprob }, i) => expect(logprob).toBeCloseTo(content[0]!.top_logprobs[i]!.logprob, 4));

    const request = {
      model,
      messages: [{ role: "user" as const, content: nameQuestion }],
      temperature: 0,
      logprobs: true,
      top_logprobs: 5,
    };
    const stream = server.client.chat.completions.stream({ ...request, stop: "never" });
    expect(logprobsOf((await stream.finalChatCompletion()) as OpenAI.ChatCompletion)).toHaveLength(content.length);
    const streamed: Logprobs["content"] = [];
    for await (const { choices } of await server.client.chat.completions.create({ ...request, stream: true })) {
      streamed.push(...(choices[0]?.logprobs?.content ?? []));
    }
    expect(streamed.map(({ token }) => token)).toEqual(content.map(({ token }) => token));
    streamed.forEach(({ logprob }, i) => expect(logprob).toBeCloseTo(content[i]!.logprob, 4));
  });

  test("are there for the thinking too, in front, and for each of several answers", async () => {
    const completion = await ask(sum, { enable_thinking: true, n: 2, logprobs: true });
    for (const { logprobs, message } of completion.choices) {
      const [thinking, content] = spell(logprobs!.content!).split("</think>");
      expect(thinking).toContain("The sum is 76.");
      expect(content!.trim()).toBe(message.content);
      expect(logprobs!.content![0]!.top_logprobs).toEqual([]);
    }
  });

  test("of the prompt tell what the model expects there, by what it sees in pictures too", async () => {
    type Scored = { prompt_token_ids: number[]; prompt_logprobs: (Record<string, { logprob: number; rank: number }> | null)[] };
    const askScored = async (messages: object[], promptLogprobs: number) => {
      const fields = { messages, max_tokens: 1, prompt_logprobs: promptLogprobs, return_token_ids: true };
      return (await send("/v1/chat/completions", fields)) as Scored;
    };
    const read = async (digits: string) => {
      const answer = { role: "assistant", content: `The number is ${digits}.` };
      const picture = { type: "image_url", image_url: { url: dataUri("03_read_number.png") } };
      const question = { role: "user", content: [picture, { type: "text", text: "Which number is printed here?" }] };
      const { prompt_token_ids: ids, prompt_logprobs: scores } = await askScored([question, answer, { role: "user", content: "?" }], 2);
      expect(scores).toHaveLength(ids.length);
      expect(scores[0]).toBeNull();
      scores.slice(1).forEach((entries, i) => {
        expect(Object.values(entries!).map(({ rank }) => rank)).toEqual(expect.arrayContaining([1, 2]));
        expect(Object.keys(entries!).length).toBe(entries![ids[i + 1]!]!.rank <= 2 ? 2 : 3);
      });
      return ids.reduce((sum, id, i) => sum + (scores[i]?.[id]!.logprob ?? 0), 0);
    };
    expect(await read("5574")).toBeGreaterThan((await read("6685")) + 5);

    const { prompt_token_ids: ids, prompt_logprobs: scores } = await askScored([{ role: "user", content: nameQuestion }], 0);
    const completion = (await send("/v1/completions", { prompt: ids, max_tokens: 1, prompt_logprobs: 0 })) as { choices: Scored[] };
    expect(completion.choices[0]!.prompt_logprobs).toEqual(scores);
  });

  test("are null where nobody asks", async () => {
    expect((await ask(nameQuestion, { logprobs: false })).choices[0]!.logprobs).toBeNull();
  });
});

describe("pictures", () => {
  const picture = (detail: "low" | "high" | "auto") =>
    [
      { type: "image_url", image_url: { url: dataUri("03_read_number.png"), detail } },
      { type: "text", text: "Which number is printed here?" },
    ] satisfies OpenAI.ChatCompletionContentPart[];

  test("are read in a tool's result as in a question", async () => {
    const call = { id: "call_1", type: "function", function: { name: "camera", arguments: "{}" } } as const;
    const messages = [
      { role: "user", content: "Take a picture." },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "call_1", content: picture("auto").slice(0, 1) },
      { role: "user", content: "Which number is printed here?" },
    ];
    const completion = (await server.client.chat.completions.create({ model, messages, temperature: 0 } as never)) as OpenAI.ChatCompletion;
    expect(contentOf(completion)).toBe("The number is 5574.");
  });

  test.each(["low", "high", "auto"] as const)("of detail %s are answered", async (detail) => {
    expect(contentOf(await ask(picture(detail)))).toBe("The number is 5574.");
  });
});
