// Every way a request can be wrong, with the field, code and words of the answer.

import { describe, expect, test } from "vitest";
import { chatPath, type Envelope, makeApp, pngBase64, post, userSays } from "./make-app.ts";

async function refusal(body: unknown, headers: Record<string, string> = {}) {
  const { app, calls } = makeApp();
  const response = await app.request(chatPath, post(body, headers));
  expect(calls).toEqual([]);
  const { error } = (await response.json()) as Envelope;
  expect(Object.keys(error).toSorted()).toEqual(["code", "message", "param", "type"]);
  return { status: response.status, ...error };
}

const image = (url: unknown) => userSays([{ type: "image_url", image_url: { url } }]);
const png = `data:image/png;base64,${pngBase64}`;

describe("a body that is no JSON object", () => {
  test.each([
    ["text", "hello", "not JSON"],
    ["cut JSON", '{"messages": [', "not JSON"],
    ["an array", "[]", "got an array"],
    ["null", "null", "got null"],
    ["a number", "17", "got a number"],
    ["empty", "", "empty body"],
    ["blank", " \n", "empty body"],
    ["not UTF-8", new Uint8Array([0x7b, 0xff, 0x7d]), "UTF-8"],
  ])("%s", async (_, body, words) => {
    const error = await refusal(body);

    expect(error).toMatchObject({ status: 400, type: "invalid_request_error", param: null });
    expect(error.message).toContain(words);
  });
});

test.each(["text/plain", "application/x-www-form-urlencoded", "application/jsonx"])("content type %s is refused", async (type) => {
  const error = await refusal(userSays("hi"), { "content-type": type });

  expect(error.status).toBe(400);
  expect(error.message).toContain(`got "${type}"`);
});

test.each(["gzip", "zstd", "br, gzip"])("content encoding %s is refused as what it is, and not as broken text", async (encoding) => {
  const error = await refusal(userSays("hi"), { "content-encoding": encoding });

  expect(error.status).toBe(400);
  expect(error.message).toBe(`expected a body without compression, got the header "Content-Encoding: ${encoding}"`);
});

test("content encoding identity is none", async () => {
  expect((await makeApp().app.request(chatPath, post(userSays("hi"), { "content-encoding": "identity" }))).status).toBe(200);
});

const wrongFields: [body: object, param: string, words: string][] = [
  [{}, "messages", "expected an array of messages, but the field is missing"],
  [{ messages: null }, "messages", "got null"],
  [{ messages: "hi" }, "messages", 'got "hi"'],
  [{ messages: [] }, "messages", "expected at least one message, got an empty array"],
  [
    { messages: Array.from({ length: 10_001 }, () => ({ role: "user", content: "" })) },
    "messages",
    "expected at most 10000 messages, got an array",
  ],
  [{ messages: ["hi"] }, "messages[0]", "expected an object with role and content"],
  [
    { messages: [{ content: "hi" }] },
    "messages[0].role",
    'expected one of "system", "developer", "user", "assistant", "tool", but the field is missing',
  ],
  [{ messages: [{ role: "robot", content: "hi" }] }, "messages[0].role", 'got "robot"'],
  [{ messages: [{ role: "user" }] }, "messages[0].content", "expected a string or an array of parts, but the field is missing"],
  [{ messages: [{ role: "user", content: null }] }, "messages[0].content", "got null"],
  [{ messages: [{ role: "system", content: 5 }] }, "messages[0].content", "got 5"],
  [{ messages: [{ role: "assistant", content: "a", reasoning_content: 1 }] }, "messages[0].reasoning_content", "a string"],
  [userSays([]), "messages[0].content", "at least one part"],
  [userSays(["hi"]), "messages[0].content[0]", "an object with a type"],
  [userSays([{ type: "text" }]), "messages[0].content[0].text", "expected a string, but the field is missing"],
  [
    userSays([{ type: "text", text: "a" }, { type: "input_audio" }]),
    "messages[0].content[1].type",
    '"text", "image_url", "video_url", "video" or "file", got "input_audio"',
  ],
  [userSays([{ type: "file" }]), "messages[0].content[0].file", "an object with file_data, but the field is missing"],
  [
    userSays([{ type: "file", file: { file_id: "f" } }]),
    "messages[0].content[0].file.file_id",
    'no file_id (uploaded files are not supported; send file_data), got "f"',
  ],
  [userSays([{ type: "file", file: { filename: "a" } }]), "messages[0].content[0].file.file_data", "a string, but the field is missing"],
  [
    userSays([{ type: "file", file: { file_data: "YQ==", file_id: "f" } }]),
    "messages[0].content[0].file.file_id",
    'no file_id (uploaded files are not supported; send file_data), got "f"',
  ],
  [userSays([{ type: "image_url" }]), "messages[0].content[0].image_url", "a string or an object with a url, but the field is missing"],
  [userSays([{ type: "image_url", image_url: {} }]), "messages[0].content[0].image_url.url", "a string, but the field is missing"],
  [
    userSays([{ type: "image_url", image_url: { url: png, detail: "ultra" } }]),
    "messages[0].content[0].image_url.detail",
    'one of "auto", "low", "high", got "ultra"',
  ],
  [userSays("a", { model: 5 }), "model", "a string"],
  [userSays("a", { n: 0 }), "n", "an integer from 1 to 8, got 0"],
  [userSays("a", { n: 1_000_000 }), "n", "an integer from 1 to 8, got 1000000"],
  [userSays("a", { stop_token_ids: [-1] }), "stop_token_ids[0]", "an integer of at least 0, got -1"],
  [userSays("a", { stop_token_ids: Array<number>(129).fill(1) }), "stop_token_ids", "at most 128 ids"],
  [userSays("a", { ignore_eos: 1 }), "ignore_eos", "true or false, got 1"],
  [userSays("a", { skip_special_tokens: "no" }), "skip_special_tokens", "true or false"],
  [userSays("a", { return_token_ids: 1 }), "return_token_ids", "true or false"],
  [userSays("a", { reasoning_max_tokens: -1 }), "reasoning_max_tokens", "an integer of at least 0, got -1"],
  [userSays("a", { thinking_token_budget: "x" }), "thinking_token_budget", "an integer of at least 0"],
  [userSays("a", { stream: "yes" }), "stream", 'expected true or false, got "yes"'],
  [userSays("a", { stream_options: true }), "stream_options", "an object, got true"],
  [userSays("a", { stream_options: { include_usage: 1 } }), "stream_options.include_usage", "true or false"],
  [userSays("a", { max_tokens: 0 }), "max_tokens", "an integer of at least 1, or -1 for no limit, got 0"],
  [userSays("a", { max_tokens: 1.5 }), "max_tokens", "an integer of at least 1, or -1 for no limit, got 1.5"],
  [userSays("a", { max_completion_tokens: "9" }), "max_completion_tokens", 'got "9"'],
  [userSays("a", { max_completion_tokens: 9, max_tokens: 8 }), "max_tokens", "the same as max_completion_tokens (9)"],
  [userSays("a", { min_tokens: -1 }), "min_tokens", "an integer of at least 0, got -1"],
  [userSays("a", { max_tokens: 9, min_tokens: 10 }), "min_tokens", "at most max_completion_tokens (9), got 10"],
  [userSays("a", { logprobs: 3 }), "logprobs", "true or false, got 3"],
  [userSays("a", { top_logprobs: 3 }), "top_logprobs", '"logprobs": true with it, but it is missing'],
  [userSays("a", { logprobs: true, top_logprobs: 21 }), "top_logprobs", "an integer from 0 to 20, got 21"],
  [userSays("a", { logit_bias: [1] }), "logit_bias", "an object of token ids and their biases, got an array"],
  [userSays("a", { logit_bias: { "5": 101 } }), "logit_bias.5", "a number from -100 to 100, got 101"],
  [userSays("a", { logit_bias: { no: 1 } }), "logit_bias.no", "a token id as the key, got 1"],
  [userSays("a", { logit_bias: Object.fromEntries([...Array(1025).keys()].map((id) => [id, 1])) }), "logit_bias", "at most 1024 token ids"],
  [userSays("a", { temperature: 2.1 }), "temperature", "expected a number from 0 to 2, got 2.1"],
  [userSays("a", { temperature: "hot" }), "temperature", 'a number from 0 to 2, got "hot"'],
  [userSays("a", { top_p: -0.1 }), "top_p", "a number from 0 to 1"],
  [userSays("a", { top_k: -2 }), "top_k", "an integer of at least -1"],
  [userSays("a", { top_k: 1e300 }), "top_k", "an integer"],
  [userSays("a", { min_p: 2 }), "min_p", "a number from 0 to 1"],
  [userSays("a", { presence_penalty: 3 }), "presence_penalty", "a number from -2 to 2"],
  [userSays("a", { frequency_penalty: -3 }), "frequency_penalty", "a number from -2 to 2"],
  [userSays("a", { repetition_penalty: 0 }), "repetition_penalty", "a number from 0.01 to 100, got 0"],
  [userSays("a", { seed: 0.5 }), "seed", "expected an integer, got 0.5"],
  [userSays("a", { seed: "1" }), "seed", "expected an integer"],
  [userSays("a", { stop: 5 }), "stop", "a string or an array of at most 16 strings, got 5"],
  [userSays("a", { stop: "" }), "stop", "at least one character"],
  [userSays("a", { stop: ["a", ""] }), "stop[1]", "at least one character"],
  [userSays("a", { stop: ["a", 5] }), "stop[1]", "a string, got 5"],
  [userSays("a", { stop: Array.from({ length: 17 }, String) }), "stop", "at most 16 strings"],
  [userSays("a", { stop: "é".repeat(129) }), "stop", "at most 256 bytes"],
  [userSays("a", { enable_thinking: "yes" }), "enable_thinking", "true or false"],
  [userSays("a", { thinking: true }), "thinking", "an object with a type, got true"],
  [userSays("a", { thinking: { type: "on" } }), "thinking.type", 'one of "enabled", "adaptive"'],
  [userSays("a", { reasoning_effort: "huge" }), "reasoning_effort", 'one of "none", "minimal"'],
  [userSays("a", { metadata: { enable_thinking: "yes" } }), "metadata.enable_thinking", "true or false"],
  [userSays("a", { chat_template_kwargs: { enable_thinking: 1 } }), "chat_template_kwargs.enable_thinking", "true or false, got 1"],
  [
    userSays("a", { chat_template_kwargs: { options: { thinking_mode: "ajar" } } }),
    "chat_template_kwargs.options.thinking_mode",
    'one of "open", "close", got "ajar"',
  ],
];

test.each(wrongFields.map(([body, param, words]) => ({ body, param, words })))("$param: $words", async ({ body, param, words }) => {
  const error = await refusal(body);

  expect(error).toMatchObject({ status: 400, type: "invalid_request_error", param });
  expect(error.message.startsWith(`${param}: expected `)).toBe(true);
  expect(error.message).toContain(words);
});

test.each([
  ["a message's role", { messages: [{ role: "x".repeat(10_000), content: "" }] }],
  ["a tool_choice", userSays("a", { tool_choice: "x".repeat(10_000) })],
  ["a key of logit_bias", userSays("a", { logit_bias: { ["x".repeat(10_000)]: 1 } })],
  ["a model", userSays("a", { model: "x".repeat(10_000) })],
])("%s of any length makes a short error", async (_, body) => {
  const error = await refusal(body);

  expect(error.status).toBeGreaterThanOrEqual(400);
  expect(error.message.length + (error.param?.length ?? 0)).toBeLessThan(1000);
});

test("a missing field has a code of its own", async () => {
  expect((await refusal({})).code).toBe("missing_required_parameter");
  expect((await refusal({ messages: 5 })).code).toBe("invalid_value");
});

test("a long wrong value is cut in the message", async () => {
  const error = await refusal(userSays("a", { stream: "x".repeat(10_000) }));

  expect(error.message.length).toBeLessThan(120);
});

test("a number beyond a double's range is refused", async () => {
  const error = await refusal('{"messages": [{"role": "user", "content": "a"}], "temperature": 1e999}');

  expect(error).toMatchObject({ status: 400, param: "temperature" });
});

test("an unknown model is a 404", async () => {
  const error = await refusal(userSays("a", { model: "gpt-9" }));

  expect(error).toMatchObject({ status: 404, type: "invalid_request_error", code: "model_not_found", param: "model" });
  expect(error.message).toContain('expected "ernie"');
});

describe("pictures", () => {
  test.each([
    ["https", "https://example.com/a.png", "invalid_image_url", "downloads are not allowed on this server"],
    ["http in capitals", "HTTP://example.com/a.png", "invalid_image_url", "downloads are not allowed on this server"],
    ["file", "file:///etc/passwd", "invalid_image_url", "files of the server are not allowed"],
    ["another scheme", "blob:abc", "invalid_image_url", 'got "blob:abc"'],
    ["bare base64", pngBase64, "invalid_image_url", "expected a data URI"],
    ["broken base64", "data:image/png;base64,???", "invalid_base64_image", "expected base64"],
    ["empty", "data:image/png;base64,", "empty_image_file", "empty file"],
  ])("%s", async (_, url, code, words) => {
    const error = await refusal(image(url));

    expect(error).toMatchObject({ status: 400, code, param: "messages[0].content[0].image_url.url" });
    expect(error.message).toContain(words);
  });

  test("a url given as a plain string is named by its own path", async () => {
    const error = await refusal(userSays([{ type: "image_url", image_url: "file:///a" }]));

    expect(error.param).toBe("messages[0].content[0].image_url");
  });

  test("a file over the limit is refused", async () => {
    const { app } = makeApp([], { limits: { imageBytes: 20 } });

    const response = await app.request(chatPath, post(image(png)));

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "image_file_too_large" } });
  });

  test("more pictures than the limit are refused, counted over all messages", async () => {
    const { app } = makeApp([], { limits: { imageCount: 2 } });
    const part = { type: "image_url", image_url: { url: png } };
    const messages = [
      { role: "user", content: [part, part] },
      { role: "user", content: [{ type: "text", text: "and" }, part] },
    ];

    const response = await app.request(chatPath, post({ messages }));

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "too_many_images", param: "messages[1].content[1].image_url.url" } });
  });
});
