// PDFs through the whole program, by every route that takes them, against the nano model.

import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { BadRequestError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePdf, showText } from "../vision/make-pdf.ts";
import { writePng } from "../vision/write-png.ts";
import { type RunningServer, startServer } from "./start-server.ts";

const model = "ernie-vl-nano";
const number = readFileSync(new URL("../../docs/examples/number.pdf", import.meta.url));
const question = "Which number is printed here?";
const answer = "The number is 5574.";

let server: RunningServer;
let openai: OpenAI;
let anthropic: Anthropic;
beforeAll(async () => {
  server = await startServer(["--weights", "fp32"]);
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "unused", maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: "unused", maxRetries: 0 });
});
afterAll(async () => {
  await server?.stop();
});

const toUri = (file: Buffer) => `data:application/pdf;base64,${file.toString("base64")}`;

function ask(content: OpenAI.ChatCompletionContentPart[]): Promise<OpenAI.ChatCompletion> {
  return openai.chat.completions.create({ model, temperature: 0, max_completion_tokens: 40, messages: [{ role: "user", content }] });
}

function askInChat(file: Buffer, filename = "number.pdf"): Promise<OpenAI.ChatCompletion> {
  return ask([
    { type: "file", file: { file_data: toUri(file), filename } },
    { type: "text", text: question },
  ]);
}

const routes: Readonly<Record<string, () => Promise<string | null | undefined>>> = {
  "/v1/chat/completions": async () => (await askInChat(number)).choices[0]?.message.content,
  "/v1/responses": async () => {
    const content = [
      { type: "input_file" as const, file_data: toUri(number), filename: "number.pdf" },
      { type: "input_text" as const, text: question },
    ];
    return (await openai.responses.create({ model, temperature: 0, input: [{ role: "user", content }] })).output_text;
  },
  "/v1/messages": async () => {
    const source = { type: "base64" as const, media_type: "application/pdf" as const, data: number.toString("base64") };
    const content = [
      { type: "document" as const, title: "number.pdf", source },
      { type: "text" as const, text: question },
    ];
    const base = { model, max_tokens: 40, temperature: 0 };
    const { content: blocks } = await anthropic.messages.create({ ...base, messages: [{ role: "user", content }] });
    return blocks[0]?.type === "text" ? blocks[0].text : undefined;
  },
};

describe("a PDF", () => {
  test.each(Object.keys(routes))("the number on its page is read, asked by %s", async (route) => {
    expect(await routes[route]!()).toBe(answer);
  });

  test("reads as its page sent as a picture, and its text beside it", async () => {
    const size = { width: 134.4, height: 107.52 };
    const file = makePdf([{ ...size, content: `${showText("Some words.", 20, 8)} 0.2 0.4 0.6 rg 0 0 140 140 re f` }]); // the words lie under it
    const samples = Uint8Array.from({ length: 280 * 224 * 3 }, (_, i) => [51, 102, 153][i % 3]!);
    const url = `data:image/png;base64,${writePng({ width: 280, height: 224, kind: "rgb", samples }).toString("base64")}`;
    const parts = [
      { type: "text", text: "<document>\n<title>number.pdf</title>\n" },
      { type: "image_url", image_url: { url } },
      { type: "text", text: "\nSome words.\n</document>\n" },
      { type: "text", text: question },
    ] as OpenAI.ChatCompletionContentPart[];

    const [read, seen] = [await askInChat(file), await ask(parts)];

    expect(read.choices).toEqual(seen.choices);
    expect(seen.usage?.prompt_tokens_details).toMatchObject({ image_tokens: 56, cached_tokens: seen.usage!.prompt_tokens - 1 });
  });

  test("is as many tokens as its pages and texts", async () => {
    const tokensOf = async (file: Buffer) => (await askInChat(file)).usage!;
    const pages = [
      { width: 56, height: 56, content: showText("One two three.", 20, 8) },
      { width: 134.4, height: 67.2 },
    ];

    const [one, both] = [await tokensOf(makePdf(pages.slice(0, 1))), await tokensOf(makePdf(pages))];

    expect(one.prompt_tokens_details).toMatchObject({ image_tokens: 16 }); // 117 × 117 pixels
    expect(both.prompt_tokens_details).toMatchObject({ image_tokens: 16 + 50 });
    expect(both.prompt_tokens).toBeGreaterThan(one.prompt_tokens + 50);
  });

  test("that was seen before is not computed again", async () => {
    await askInChat(number, "again.pdf");

    const { usage } = await askInChat(number, "again.pdf");

    expect(usage?.prompt_tokens_details?.cached_tokens).toBe(usage!.prompt_tokens - 1);
  });
});

describe("is refused in the client's words:", () => {
  test.each([
    ["a PDF that is damaged", Buffer.from("%PDF-1.7"), "invalid_file"],
    ["one of too many pages", makePdf(Array.from({ length: 101 }, () => ({}))), "too_many_pages"],
    ["another kind of file", Buffer.from("PK\u0003\u0004\0"), "unsupported_file"],
    ["one that fills more than the context", makePdf(Array.from({ length: 60 }, () => ({}))), "context_length_exceeded"],
  ])("%s", async (_, file, code) => {
    const refusal = await askInChat(file).catch((error: unknown) => error);

    expect(refusal).toBeInstanceOf(BadRequestError);
    expect(refusal).toMatchObject({ code });
  });

  test("a PDF by URL where the operator has allowed none", async () => {
    const content = [{ type: "input_file" as const, file_url: "https://example.org/a.pdf" }];

    await expect(openai.responses.create({ model, input: [{ role: "user", content }] })).rejects.toThrow(/allow-media-domain/);
  });
});
