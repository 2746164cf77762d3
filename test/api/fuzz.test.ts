// Whatever the body is: an answer or an envelope with a status of the client's, never a failure of the server.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { chatPath, helloEvents, makeApp, pngBase64, post } from "./make-app.ts";

const fieldNames =
  "messages model stream stream_options n temperature top_p top_k min_p seed stop max_tokens max_completion_tokens logit_bias " +
  "logprobs top_logprobs tools tool_choice response_format metadata chat_template_kwargs reasoning_effort presence_penalty " +
  "frequency_penalty repetition_penalty modalities enable_thinking guided_json __proto__ constructor toString";

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
const message = fc.oneof(
  fc.record(
    {
      role: fc.oneof(fc.constantFrom("system", "developer", "user", "assistant", "tool"), anything),
      content: fc.oneof(fc.string(), fc.array(part, { maxLength: 4 }), anything),
      reasoning_content: anything,
      tool_calls: anything,
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
  .tuple(fc.oneof(plainMessages, fc.array(message, { maxLength: 4 }), anything), fields)
  .map(([messages, rest]) => JSON.stringify({ messages, ...rest }));

async function expectAnswerOrEnvelope(text: string | Uint8Array): Promise<number> {
  const { app, lines } = makeApp(helloEvents);
  const response = await app.request(chatPath, post(text));
  const answer = await response.text();
  expect(response.headers.get("x-request-id")).toBeTruthy();
  expect(lines).toHaveLength(1);
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
