// Requests that have broken servers of this kind, where no other file has them: template variables, numbers out of range, bodies that lie
// about their length. docs/security.md has the list.

import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createHttpServer } from "../../src/cli/http-server.ts";
import { chatPath, makeApp, post, userSays } from "./make-app.ts";

test("chat_template_kwargs reach nothing but the thinking switch", async () => {
  const hostile = {
    tokenize: true,
    add_generation_prompt: false,
    messages: [],
    tools: [],
    chat_template: "{{ 1/0 }}",
    __proto__: { a: 1 },
  };
  const { app, calls } = makeApp();

  for (const fields of [{}, { chat_template_kwargs: hostile }]) {
    expect((await app.request(chatPath, post(userSays("Hi", { seed: 1, ...fields })))).status).toBe(200);
  }

  expect(calls[1]!.chat).toEqual(calls[0]!.chat);
  expect(calls[1]!.options).toEqual(calls[0]!.options);
  expect((await app.request(chatPath, post(userSays("Hi", { chat_template: "{{ 1/0 }}" })))).status).toBe(400);
});

describe("a number out of range never gets past the API", () => {
  const extremes = [-1, -(2 ** 31), -(2 ** 53), 2 ** 31, 2 ** 32, 2 ** 63, 1e308, 0.5];
  const integers = ["n", "max_tokens", "max_completion_tokens", "min_tokens", "top_k", "top_logprobs", "reasoning_max_tokens", "seed"];
  const reals = ["temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"];
  const lists = ["stop_token_ids", "logit_bias"];

  test.each([...integers, ...reals, ...lists])("%s", async (field) => {
    for (const extreme of extremes) {
      const value = field === "stop_token_ids" ? [extreme] : field === "logit_bias" ? { [extreme]: 1, 5: extreme } : extreme;
      const { app, calls } = makeApp();

      const { status } = await app.request(chatPath, post(userSays("Hi", { [field]: value, logprobs: field === "top_logprobs" })));

      expect([200, 400], `${field}: ${extreme}`).toContain(status);
      if (status === 400) expect(calls).toEqual([]);
      else expect(calls.length).toBe(1);
      for (const { options } of calls) {
        expect(options.choiceCount ?? 1).toBeLessThanOrEqual(8);
        const { sampling, choiceCount, logprobCount, minTokens, maxTokens, stopTokenIds, thinkingBudget } = options;
        for (const count of [choiceCount, logprobCount, minTokens, maxTokens, thinkingBudget, ...(stopTokenIds ?? [])]) {
          expect((count ?? 0) >= 0 && Number.isInteger(count ?? 0), `${field}: ${extreme} became ${count}`).toBe(true);
        }
        expect(Number.isSafeInteger(sampling.seed) && sampling.seed >= 0).toBe(true);
        expect(Number.isInteger(sampling.topK) && sampling.topK >= 0).toBe(true);
        for (const number of [sampling.temperature, sampling.topP, sampling.minP]) expect(number >= 0 && number <= 2).toBe(true);
      }
    }
  });
});

describe("more log-probabilities than a whole answer may have", () => {
  const contextLength = 131_072;
  const chat = userSays("Hi", { n: 8, logprobs: true, top_logprobs: 20 });
  const texts = { prompt: Array<string>(64).fill("Hi"), n: 2, max_tokens: -1, logprobs: 5 };

  test.each([
    [chatPath, chat],
    ["/v1/completions", texts],
  ])("are a 400 before any work: %s", async (path, body) => {
    const { app, calls } = makeApp([], { contextLength });

    const response = await app.request(path, post(body));

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_value", param: "logprobs" } });
    expect(calls).toEqual([]);
  });

  test.each([{ stream: true }, { n: 1 }, { max_tokens: 20_000 }])("may be asked for with %j", async (fields) => {
    const { app, calls } = makeApp([], { contextLength });

    await app.request(chatPath, post({ ...chat, ...fields }));

    expect(calls).toHaveLength(1);
  });
});

describe("a body that lies about its length", () => {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });

  const limits = { bodyBytes: 1000 };
  const long = JSON.stringify(userSays("x".repeat(2000)));
  const start = `POST ${chatPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`;

  test.each([
    ["is short of what it says: the rest is no part of it", `content-length: 20\r\n\r\n${long}`, /^HTTP\/1.1 400 /],
    ["says both lengths", `content-length: 20\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n${long}`, /^HTTP\/1.1 400 /],
    ["says two lengths", `content-length: 20\r\ncontent-length: 3000\r\n\r\n${long}`, /^HTTP\/1.1 400 /],
    ["says a negative one", `content-length: -1\r\n\r\n${long}`, /^HTTP\/1.1 400 /],
    ["comes in chunks beyond the limit", `transfer-encoding: chunked\r\n\r\n${chunks(long)}`, /^HTTP\/1.1 413 /],
    ["has a chunk of an endless size", `transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n${long}`, /^HTTP\/1.1 400 /],
  ])("%s", async (_, rest, answer) => {
    const { app, calls } = makeApp([], { limits });
    const server = createHttpServer(app.fetch);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    closers.push(
      () => socket.destroy(),
      () => server.close(),
    );
    socket.on("error", () => {});

    socket.write(start + rest);

    expect(String((await once(socket, "data"))[0])).toMatch(answer);
    expect(calls).toEqual([]);
  });
});

function chunks(text: string): string {
  const pieces = text.match(/.{1,500}/g)!;
  return `${pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("")}0\r\n\r\n`;
}
