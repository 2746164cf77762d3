// Modality isolation, seen through the API of the whole program.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type OpenAI from "openai";
import { dataUri } from "./samples.ts";
import { type RunningServer, startServer } from "./start-server.ts";

type Routing = {
  readonly layers: number[];
  readonly experts: { readonly text: [number, number]; readonly vision: [number, number] };
  readonly experts_per_token: number;
  readonly computed_tokens: { readonly text: number; readonly vision: number };
  readonly text: number[][];
  readonly vision: number[][];
  readonly pictures: { readonly frames: number; readonly rows: number; readonly columns: number; readonly favourites: string[] }[];
};

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

describe.each([[[]], [["--kv-cache-dtype", "int8"]]])("a server with --expose-routing %s", (flags) => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startServer(["--expose-routing", "--prefill-chunk", "16", ...flags]);
  });
  afterAll(async () => {
    await server?.stop();
  });

  const ask = async (content: string | OpenAI.ChatCompletionContentPart[], fields: object = {}) => {
    const wanted: object = { return_routing: true, ...fields };
    const completion = await server.client.chat.completions.create({
      model: "ernie-vl-nano",
      messages: [{ role: "user", content }],
      temperature: 0,
      ...wanted,
    });
    const choice = completion.choices[0] as OpenAI.ChatCompletion.Choice & { routing?: Routing };
    return { routing: choice.routing, usage: completion.usage!, text: choice.message.content };
  };

  const aboutPicture: OpenAI.ChatCompletionContentPart[] = [
    { type: "image_url", image_url: { url: dataUri("01_describe.png") } },
    { type: "text", text: "What is in the picture?" },
  ];

  test("shows that text tokens go to text experts and a picture's tokens to vision experts", async () => {
    const { routing, usage } = await ask(aboutPicture);

    const { layers, experts, experts_per_token: perToken, computed_tokens: computed, pictures } = routing!;
    expect(layers.length).toBe(routing!.text.length);
    expect(computed.text + computed.vision).toBe(usage.total_tokens - usage.prompt_tokens_details!.cached_tokens! - 1);
    for (const modality of ["text", "vision"] as const) {
      for (const row of routing![modality]) {
        expect(sum(row.slice(...experts[modality]))).toBe(computed[modality] * perToken);
        expect(sum(row)).toBe(computed[modality] * perToken);
      }
    }
    const [picture] = pictures;
    expect(computed.vision).toBe(picture!.rows * picture!.columns + 2); // and the marks around it
    for (const favourites of picture!.favourites) {
      const cells = Buffer.from(favourites, "base64");
      expect(cells.length).toBe(picture!.rows * picture!.columns);
      expect(cells.every((expert) => experts.vision[0] <= expert && expert < experts.vision[1])).toBe(true);
    }
  });

  test("counts what was computed: the second time, little of the prompt", async () => {
    await ask(aboutPicture);

    const { routing, usage } = await ask(aboutPicture);

    expect(routing!.computed_tokens).toEqual({ text: usage.completion_tokens, vision: 0 });
    expect(Buffer.from(routing!.pictures[0]!.favourites[0]!, "base64").every((expert) => expert === 255)).toBe(true);
  });

  test("tells it of an answer that a stop string ends, and nothing to who does not ask", async () => {
    const stopped = await ask("What is your name?", { stop: "nano" });

    expect(stopped.text).toBe("I am ERNIE-VL ");
    expect(stopped.routing!.computed_tokens.text).toBeGreaterThan(0);
    expect((await ask("What is your name?", { return_routing: false })).routing).toBeUndefined();
  });
});

test("answers are the same with and without it", async () => {
  const answers = [];
  for (const flags of [[], ["--expose-routing"]]) {
    const server = await startServer(flags);
    const completion = await server.client.chat.completions.create({
      model: "ernie-vl-nano",
      messages: [{ role: "user", content: "Name three colours." }],
      seed: 7,
      max_completion_tokens: 40,
    });
    answers.push(completion.choices[0]!.message.content);
    await server.stop();
  }

  expect(answers[1]).toBe(answers[0]);
});
