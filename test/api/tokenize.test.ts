import { describe, expect, test } from "vitest";
import { programVersion } from "../../src/version.ts";
import { type Envelope, makeApp, post, userSays } from "./make-app.ts";

async function send(path: string, body: unknown, options = {}) {
  const made = makeApp([], options);
  const response = await made.app.request(path, post(body));
  return { ...made, status: response.status, body: (await response.json()) as unknown };
}

describe("/tokenize", () => {
  test("counts and shows the tokens of a text", async () => {
    const { body } = await send("/tokenize", { model: "ernie", prompt: "Hi" });

    expect(body).toEqual({ count: 2, max_model_len: 4096, tokens: [72, 105], token_strs: null });
  });

  test("spells them where asked to", async () => {
    expect((await send("/tokenize", { prompt: "Hi", return_token_strs: true })).body).toMatchObject({ token_strs: ["H", "i"] });
  });

  test("decodes a token once, however often it occurs", async () => {
    const { body, decoded } = await send("/tokenize", { prompt: "noon", return_token_strs: true });

    expect(body).toMatchObject({ token_strs: ["n", "o", "o", "n"] });
    expect(decoded).toEqual([[110], [111]]);
  });

  test("takes a conversation as the chat route does, with tools and thinking", async () => {
    const tools = [{ type: "function", function: { name: "f" } }];
    const { body, chats } = await send("/tokenize", userSays("Hi", { tools, enable_thinking: true, add_generation_prompt: true }));

    expect(body).toMatchObject({ count: 3, tokens: [1, 2, 3] });
    expect(chats).toMatchObject([{ thinking: true, toolUse: { tools: [{ name: "f" }] }, messages: [{ role: "user" }] }]);
  });

  test.each<[string, object, string, string]>([
    ["neither", {}, "prompt", "either prompt or messages, got neither"],
    ["both", userSays("Hi", { prompt: "Hi" }), "prompt", "either prompt or messages, got both"],
    ["a list of texts", { prompt: ["Hi"] }, "prompt", "a string"],
    ["a text too long", { prompt: "x".repeat(2 ** 19 + 1) }, "prompt", "a string of at most 524288 characters"],
    ["messages that are wrong", { messages: [] }, "messages", "at least one message"],
    ["fields of the chat route that are refused there", userSays("Hi", { suffix: "x" }), "suffix", "does not support"],
    ["another wish about texts", { prompt: "Hi", return_token_strs: 1 }, "return_token_strs", "true or false"],
  ])("refuses %s", async (_, request, param, words) => {
    const { status, body } = await send("/tokenize", request);

    expect(status).toBe(400);
    expect((body as Envelope).error).toMatchObject({ param, message: expect.stringContaining(words) });
  });
});

describe("/detokenize", () => {
  test("is the way back", async () => {
    expect((await send("/detokenize", { tokens: [72, 105] })).body).toEqual({ prompt: "Hi" });
  });

  test.each<[object, string]>([
    [{}, "tokens"],
    [{ tokens: "72" }, "tokens"],
    [{ tokens: [72, -1] }, "tokens[1]"],
    [{ tokens: [1.5] }, "tokens[0]"],
    [{ tokens: Array<number>(2 ** 18 + 1).fill(1) }, "tokens"],
  ])("refuses %#", async (request, param) => {
    const { status, body } = await send("/detokenize", request);

    expect(status).toBe(400);
    expect((body as Envelope).error).toMatchObject({ param });
  });
});

test("/version names the program's version, and what it runs on", async () => {
  const words = { device: "cpu", weights: "1 GB in int4", context: "4 sequences" };
  const hardware = { ...words, memoryBytes: { weights: 1, workspace: 2, kvCache: 3, usable: 9 } };
  const bare = await makeApp().app.request("/version");
  const told = await makeApp(undefined, { hardware }).app.request("/version");

  expect(await bare.json()).toEqual({ version: programVersion() });
  expect(await told.json()).toEqual({
    version: programVersion(),
    ...words,
    memory_bytes: { weights: 1, workspace: 2, kv_cache: 3, usable: 9 },
  });
});

test.each(["/tokenize", "/detokenize"])("%s knows no other model, and asks for a key", async (path) => {
  const body = { model: "gpt-9", prompt: "Hi", tokens: [1] };

  expect((await send(path, body)).status).toBe(404);
  expect((await send(path, body, { apiKeys: ["k"] })).status).toBe(401);
});

test.each([
  ["GET", "/tokenize", "POST"],
  ["GET", "/detokenize", "POST"],
  ["POST", "/version", "GET"],
])("%s %s is a 405 that names %s", async (method, path, allowed) => {
  const response = await makeApp().app.request(path, { method });

  expect(response.status).toBe(405);
  expect(response.headers.get("allow")).toBe(allowed);
});
