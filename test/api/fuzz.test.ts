// Whatever the body is: an answer or an envelope with a status of the client's, never a failure of the server.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { chatPath, helloEvents, makeApp, pngBase64, post } from "./make-app.ts";

const fieldNames =
  "messages model stream stream_options n temperature top_p top_k min_p seed stop max_tokens max_completion_tokens logit_bias " +
  "logprobs top_logprobs tools tool_choice response_format metadata chat_template_kwargs reasoning_effort presence_penalty " +
  "frequency_penalty repetition_penalty modalities enable_thinking guided_json parallel_tool_calls stop_token_ids ignore_eos " +
  "skip_special_tokens return_token_ids reasoning_max_tokens prompt tokens return_token_strs __proto__ constructor toString";

const scalar = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, 1, -1, 2 ** 53, 1e308, "", "text", "auto", "none", "ernie", [], {}),
  fc.string(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const anything = fc.oneof(scalar, fc.jsonValue({ maxDepth: 4 }));

const url = fc.oneof(
  fc.constant(`data:image/png;base64,${pngBase64}`),
  fc.string().map((text) => `data:${text}`),
  fc.webUrl(),
  anything,
);
const part = fc.oneof(
  fc.record({ type: fc.constant("text"), text: anything }),
  fc.record({ type: fc.constant("image_url"), image_url: fc.oneof(url, fc.record({ url, detail: anything }, { requiredKeys: ["url"] })) }),
  anything,
);
const functionName = fc.oneof(fc.constantFrom("f", "get_weather", "<think>", ""), anything);
const functionCall = fc.record({ name: functionName, arguments: fc.oneof(fc.json(), anything) });
const toolCall = fc.oneof(
  fc.record({ id: fc.oneof(fc.string(), anything), type: fc.constant("function"), function: functionCall }),
  anything,
);
const declaration = fc.record(
  {
    name: functionName,
    description: anything,
    parameters: fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), anything),
    strict: anything,
  },
  { requiredKeys: ["name"] },
);
const tool = fc.oneof(fc.record({ type: fc.constant("function"), function: declaration }), anything);
const toolChoice = fc.oneof(
  fc.constantFrom("none", "auto", "required"),
  fc.record({ type: fc.constant("function"), function: fc.record({ name: functionName }) }),
  fc.record({
    type: fc.constant("allowed_tools"),
    allowed_tools: fc.record({ mode: anything, tools: fc.oneof(fc.array(tool), anything) }),
  }),
);
const message = fc.oneof(
  fc.record(
    {
      role: fc.oneof(fc.constantFrom("system", "developer", "user", "assistant", "tool"), anything),
      content: fc.oneof(fc.string(), fc.array(part, { maxLength: 4 }), anything),
      reasoning_content: anything,
      tool_calls: fc.oneof(fc.array(toolCall, { maxLength: 2 }), anything),
      tool_call_id: anything,
    },
    { requiredKeys: ["role", "content"] },
  ),
  anything,
);
const plainMessages = fc.array(fc.record({ role: fc.constantFrom("system", "user", "assistant"), content: fc.string() }), {
  minLength: 1,
  maxLength: 3,
});
const fields = fc.dictionary(
  fc.constantFrom(...fieldNames.split(" ")),
  fc.oneof(anything, fc.record({ type: anything, enable_thinking: anything, options: anything })),
  { maxKeys: 3 },
);
const body = fc
  .tuple(
    fc.oneof(plainMessages, fc.array(message, { maxLength: 4 }), anything),
    fields,
    fc.record({ tools: fc.array(tool, { maxLength: 3 }), tool_choice: toolChoice }, { requiredKeys: [] }),
  )
  .map(([messages, rest, tools]) => JSON.stringify({ messages, ...tools, ...rest }));
const tokenBody = fc.oneof(
  body,
  fc
    .record(
      { prompt: anything, tokens: fc.oneof(fc.array(fc.oneof(fc.nat(200), anything)), anything), return_token_strs: anything },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
);

const { app, lines } = makeApp(helloEvents);

async function expectAnswerOrEnvelope(text: string | Uint8Array, path = chatPath): Promise<number> {
  const response = await app.request(path, post(text));
  const answer = await response.text();
  expect(response.headers.get("x-request-id")).toBeTruthy();
  expect(lines.splice(0)).toHaveLength(1);
  if (response.status !== 200) {
    expect([400, 404]).toContain(response.status);
    expect(JSON.parse(answer)).toEqual({
      error: {
        message: expect.any(String),
        type: "invalid_request_error",
        param: expect.toSatisfy((param) => param === null || typeof param === "string"),
        code: expect.toSatisfy((code) => code === null || typeof code === "string"),
      },
    });
  }
  return response.status;
}

test("any request-like JSON is answered or refused in the envelope", async () => {
  const statuses = new Set<number>();
  await fc.assert(
    fc.asyncProperty(body, async (text) => {
      statuses.add(await expectAnswerOrEnvelope(text));
    }),
    { numRuns: 1000 },
  );
  // The generator reaches both sides of the fence.
  expect(statuses).toContain(200);
  expect(statuses).toContain(400);
});

test.each(["/tokenize", "/detokenize"])("any JSON to %s is answered or refused in the envelope", async (path) => {
  const statuses = new Set<number>();
  await fc.assert(
    fc.asyncProperty(tokenBody, async (text) => {
      statuses.add(await expectAnswerOrEnvelope(text, path));
    }),
    { numRuns: 1000 },
  );
  expect(statuses).toContain(200);
  expect(statuses).toContain(400);
});

test("any text and any bytes are refused in the envelope", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json(), fc.uint8Array()), async (bytes) => {
      expect(await expectAnswerOrEnvelope(bytes)).not.toBe(200);
    }),
    { numRuns: 300 },
  );
});

test("deep nesting is refused, not a stack overflow", async () => {
  const deep = 100_000;
  for (const text of [
    "[".repeat(deep) + "]".repeat(deep),
    `{"messages": ${"[".repeat(deep)}${"]".repeat(deep)}}`,
    `{"messages": [{"role": "user", "content": "a"}], "tools": ${'{"a":'.repeat(deep)}1${"}".repeat(deep)}}`,
  ]) {
    expect(await expectAnswerOrEnvelope(text)).toBe(400);
  }
});

test("a schema that calls leave no room for is refused when it is deep: the response would hold it again", async () => {
  const deep = 20_000;
  const format = `{"type": "json_schema", "name": "a", "schema": {"default": ${"[".repeat(deep)}${"]".repeat(deep)}}}`;
  const tools = '"tools": [{"type": "function", "name": "f"}], "tool_choice": "required"';
  expect(await expectAnswerOrEnvelope(`{"input": "Hi", ${tools}, "text": {"format": ${format}}}`, "/v1/responses")).toBe(400);
});
