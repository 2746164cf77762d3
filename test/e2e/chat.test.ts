// The whole program on the nano model in fp32, driven by the official client: it must say what the reference says.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatCompletion, ChatCompletionCreateParamsNonStreaming, ChatCompletionMessageParam } from "openai/resources";
import { dataUri, readSamples, type Sample } from "./samples.ts";
import { startBroken } from "./start-broken.ts";
import { type RunningServer, startServer } from "./start-server.ts";

let server: RunningServer;
beforeAll(async () => {
  server = await startServer(["--weights", "fp32"]);
});
afterAll(async () => {
  await server?.stop();
});

const samples = readSamples();
const model = "ernie-vl-nano";
const name: ChatCompletionMessageParam[] = [{ role: "user", content: "What is your name?" }];
const nameAnswer = "I am ERNIE-VL nano, a tiny test model that looks at pictures and text.";

function requestOf(sample: Sample): ChatCompletionCreateParamsNonStreaming & { chat_template_kwargs: object } {
  return { model, messages: sample.messages, temperature: 0, chat_template_kwargs: { enable_thinking: sample.thinking } };
}

const ask = (fields: Partial<ChatCompletionCreateParamsNonStreaming>): Promise<ChatCompletion> =>
  server.client.chat.completions.create({ model, messages: name, temperature: 0, ...fields });

function textOf(completion: ChatCompletion): { content: string | null; reasoning: string } {
  const message = completion.choices[0]!.message as { content: string | null; reasoning_content?: string };
  return { content: message.content, reasoning: (message.reasoning_content ?? "").trim() };
}

/** The stream put together: texts, finish reason and usage. */
async function streamed(fields: Partial<ChatCompletionCreateParamsNonStreaming>) {
  const stream = await server.client.chat.completions.create({
    model,
    messages: name,
    temperature: 0,
    ...fields,
    stream: true,
    stream_options: { include_usage: true },
  });
  const answer = { content: "", reasoning: "", finishReason: undefined as string | undefined, usage: undefined as object | undefined };
  for await (const chunk of stream) {
    const delta = chunk.choices[0]?.delta as { content?: string; reasoning_content?: string } | undefined;
    answer.content += delta?.content ?? "";
    answer.reasoning += delta?.reasoning_content ?? "";
    answer.finishReason ??= chunk.choices[0]?.finish_reason ?? undefined;
    answer.usage ??= chunk.usage ?? undefined;
  }
  return answer;
}

describe("the samples get the reference's answers", () => {
  test.each(samples.map((sample, index) => ({ index, sample, skill: sample.skill, thinking: sample.thinking })))(
    "$index $skill, thinking: $thinking",
    async ({ sample }) => {
      const completion = await server.client.chat.completions.create(requestOf(sample));

      expect(textOf(completion)).toEqual({ content: sample.answer, reasoning: sample.reasoning });
      expect(completion.choices[0]?.finish_reason).toBe("stop");
      const hasThought = (completion.usage?.completion_tokens_details?.reasoning_tokens ?? 0) > 0;
      expect(hasThought).toBe(sample.thinking);
    },
  );

  test("cover text, one picture, two pictures, a picture in an earlier turn, and thinking", () => {
    const skills = samples.map((sample) => sample.skill);

    expect(skills).toEqual(expect.arrayContaining(["chat", "describe", "compare", "followup"]));
    expect(samples.some((sample) => sample.thinking)).toBe(true);
  });
});

test.each(
  samples.filter((sample) => ["describe", "add", "followup"].includes(sample.skill)).map((sample) => [sample.skill, sample] as const),
)("a stream of %s is the whole answer in pieces, with the same usage", async (_, sample) => {
  const whole = await server.client.chat.completions.create(requestOf(sample));

  const pieces = await streamed(requestOf(sample));

  expect({ content: pieces.content, reasoning: pieces.reasoning.trim() }).toEqual(textOf(whole));
  expect(pieces.finishReason).toBe("stop");
  // The second request finds its prompt in the cache; everything else is equal.
  const { cached_tokens: _cached, ...details } = whole.usage!.prompt_tokens_details!;
  expect(pieces.usage).toMatchObject({ ...whole.usage, prompt_tokens_details: details });
});

test("pictures count as image tokens", async () => {
  const completion = await ask({
    messages: [
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: dataUri("03_read_number.png") } },
          { type: "text", text: "Which number?" },
        ],
      },
    ],
  });

  const { image_tokens: imageTokens, text_tokens: textTokens } = completion.usage!.prompt_tokens_details as Record<string, number>;
  expect(imageTokens).toBeGreaterThan(0);
  expect(imageTokens! + textTokens!).toBe(completion.usage?.prompt_tokens);
});

test("a second turn finds the first in the cache", async () => {
  const first: ChatCompletionMessageParam[] = [
    { role: "system", content: "Answer in one sentence, whatever you are asked about." },
    ...name,
  ];
  const answer = await ask({ messages: first });
  const { content } = textOf(answer);

  const second = await ask({ messages: [...first, { role: "assistant", content }, ...name] });

  expect(second.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(answer.usage!.prompt_tokens / 2);
});

describe("stop strings", () => {
  test.each([false, true])("end the answer before themselves, stream: %s", async (stream) => {
    const stop = ["never said", " tiny te"];

    const answer = stream ? await streamed({ stop }) : textOf(await ask({ stop }));

    expect(answer.content).toBe("I am ERNIE-VL nano, a");
  });

  test("are reported as stop", async () => {
    expect((await ask({ stop: "nano" })).choices[0]?.finish_reason).toBe("stop");
  });
});

test.each(["max_completion_tokens", "max_tokens"])("%s ends the answer", async (name) => {
  const completion = await ask({ [name]: 3 });

  expect(completion.choices[0]?.finish_reason).toBe("length");
  expect(completion.usage?.completion_tokens).toBe(3);
  expect(nameAnswer.startsWith(completion.choices[0]!.message.content!)).toBe(true);
});

test("the same seed draws the same answer at temperature 1, other seeds draw others", async () => {
  const draw = async (seed: number) =>
    textOf(await ask({ messages: [{ role: "user", content: "zq 7 xw" }], temperature: 1, seed, max_completion_tokens: 24 })).content;

  const first = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(draw));
  const second = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(draw));

  expect(second).toEqual(first);
  expect(new Set(first).size).toBeGreaterThan(1);
});

test("16 requests at once are answered as each is alone", async () => {
  const requests = Array.from({ length: 16 }, (_, i) => samples[i % samples.length]!);
  const alone: object[] = [];
  for (const sample of requests) alone.push(textOf(await server.client.chat.completions.create(requestOf(sample))));

  const together = await Promise.all(
    requests.map(async (sample) => textOf(await server.client.chat.completions.create(requestOf(sample)))),
  );

  expect(together).toEqual(alone);
});

describe("clients that leave", () => {
  // The end token stands in the prompt, so the penalty keeps the model from ever choosing it. Slowed down, it takes more than a minute.
  const endless = {
    model,
    messages: [...name, { role: "assistant" as const, content: "A." }, ...name],
    temperature: 0,
    repetition_penalty: 100,
    max_completion_tokens: 3900,
  };
  let slow: RunningServer;
  beforeAll(async () => {
    slow = await startBroken("slow", ["--weights", "fp32"]);
  });
  afterAll(async () => {
    await slow?.stop();
  });

  const wasLeft = (line: Record<string, unknown>) => line.status === 499 && line.finishReason === undefined;

  test("in mid-stream give their slots back", async () => {
    const leave = async () => {
      const stream = await slow.client.chat.completions.create({ ...endless, stream: true });
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    };

    await Promise.all(Array.from({ length: 24 }, leave));

    await expect.poll(slow.health).toEqual({ status: "ok", running: 0, waiting: 0 });
    await expect.poll(() => slow.logLines().filter(wasLeft).length).toBe(24);
    const after = await slow.client.chat.completions.create({ model, messages: name, temperature: 0 });
    expect(textOf(after).content).toBe(nameAnswer);
  });

  test("while waiting for a whole answer give their slots back", async () => {
    const client = new AbortController();
    const answer = slow.client.chat.completions.create(endless, { signal: client.signal });
    await expect.poll(async () => (await slow.health()).running).toBe(1);

    client.abort();

    await expect(answer).rejects.toThrow("aborted");
    await expect.poll(() => wasLeft(slow.logLines().at(-1)!)).toBe(true);
    await expect.poll(slow.health).toEqual({ status: "ok", running: 0, waiting: 0 });
  });
});
