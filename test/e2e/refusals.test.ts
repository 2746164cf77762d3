// What the whole program says to requests it cannot serve, with the default weights, a key and a small context.

import OpenAI, { AuthenticationError, BadRequestError, NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataUri } from "./samples.ts";
import { type RunningServer, startServer } from "./start-server.ts";

const apiKey = "e2e-key";
const contextLength = 512;
let server: RunningServer;
beforeAll(async () => {
  server = await startServer(
    ["--api-key", apiKey, "--max-model-len", String(contextLength), "--served-model-name", "tiny", "gpt-4o"],
    apiKey,
  );
});
afterAll(async () => {
  await server?.stop();
});

const ask = (content: string | OpenAI.ChatCompletionContentPart[], fields: object = {}) =>
  server.client.chat.completions.create({ model: "tiny", messages: [{ role: "user", content }], temperature: 0, ...fields });

const showPicture = (url: string) =>
  ask([
    { type: "image_url", image_url: { url } },
    { type: "text", text: "What is it?" },
  ]);

const refusal = async (answer: Promise<unknown>): Promise<unknown> => {
  const error: unknown = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error;
};

test("the models list shows each name, and the context", async () => {
  const { data } = await server.client.models.list();

  expect(data).toMatchObject(["tiny", "gpt-4o"].map((id) => ({ id, root: "tiny", context_length: contextLength })));
});

test("a request may give the second name; the answer and the metrics bear the first", async () => {
  const { model } = await ask("Hi", { model: "gpt-4o" });
  const metrics = await (await fetch(`${server.url}/metrics`, { headers: { "x-api-key": apiKey } })).text();

  expect(model).toBe("tiny");
  expect(metrics).toMatch(/generation_tokens_total\{model_name="tiny"\} [1-9]/);
  expect(metrics).not.toContain("gpt-4o");
});

test("a wrong key is a 401, and health needs none", async () => {
  const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "guess", maxRetries: 0 });

  expect(await refusal(stranger.models.list())).toBeInstanceOf(AuthenticationError);
  expect(await server.health()).toMatchObject({ status: "ok" });
});

test("an unknown model is a 404", async () => {
  expect(await refusal(ask("Hi", { model: "gpt-9" }))).toBeInstanceOf(NotFoundError);
});

describe("pictures that cannot be read are a 400 that names them", () => {
  const whole = dataUri("01_describe.png");
  test.each([
    ["cut off", whole.slice(0, Math.floor(whole.length / 2 / 4) * 4)],
    ["no picture", `data:image/png;base64,${Buffer.from("hello, I am text").toString("base64")}`],
    ["broken base64", "data:image/png;base64,???"],
    ["remote", "https://example.com/a.png"],
  ])("%s", async (_, url) => {
    const error = await refusal(showPicture(url));

    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({
      type: "invalid_request_error",
      code: expect.stringMatching(/image/),
      param: expect.stringContaining("messages[0]"),
    });
    expect((error as Error).message, "nothing of a decoder's own words").not.toMatch(/vips|spng|load_buffer|0x[0-9a-f]/i);
  });
});

test("a picture of one pixel is enlarged and answered", async () => {
  const onePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

  const completion = await showPicture(`data:image/png;base64,${onePixel}`);

  expect(completion.choices[0]?.finish_reason).toBe("stop");
});

test.each([false, true])("a prompt longer than the context is a 400, stream: %s", async (stream) => {
  const error = await refusal(ask("word ".repeat(contextLength * 2), { stream }));

  expect(error).toBeInstanceOf(BadRequestError);
  expect((error as Error).message).toContain(String(contextLength));
});

test("a body over 64 MiB is a 413", async () => {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}` },
    body: Buffer.alloc(65 * 2 ** 20, "x"),
  });

  expect(response.status).toBe(413);
  expect(await response.json()).toMatchObject({ error: { code: "request_too_large" } });
});

test("after all this the server still answers, and logged no failure of its own", async () => {
  const completion = await ask("What is the capital of France?");

  expect(completion.choices[0]?.message.content).toContain("Paris");
  expect(server.logLines().filter((line) => line.err !== undefined || line.status === 500)).toEqual([]);
});
