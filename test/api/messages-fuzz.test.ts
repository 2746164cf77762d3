// Whatever the body is: a message or an envelope with a status of the client's, never a failure of the server.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { helloEvents, makeApp, pngBase64, post } from "./make-app.ts";

const paths = ["/v1/messages", "/v1/messages/count_tokens"];

const fieldNames =
  "model messages system max_tokens stop_sequences stream temperature top_p top_k tools tool_choice thinking output_config output_format " +
  "metadata container mcp_servers thread seed enable_thinking chat_template_kwargs cache_control service_tier __proto__ constructor toString";

const scalar = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, 1, -1, 2 ** 53, 1e308, "", "text", "auto", "none", "ernie", [], {}),
  fc.string(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const anything = fc.oneof(scalar, fc.jsonValue({ maxDepth: 4 }));
/** Mostly what belongs there. */
const likely = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 9, arbitrary: arbitrary as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: anything });
const named = <T extends string>(...types: T[]) => likely(fc.constantFrom(...types));

const cacheControl = fc.record({ type: fc.constant("ephemeral"), ttl: anything }, { requiredKeys: ["type"] });
const textBlock = fc.record(
  { type: fc.constant("text"), text: likely(fc.string()), cache_control: likely(cacheControl) },
  { requiredKeys: ["type", "text"] },
);
const source = fc.oneof(
  fc.record({ type: fc.constant("base64"), media_type: anything, data: likely(fc.oneof(fc.constant(pngBase64), fc.string())) }),
  fc.record({ type: fc.constant("url"), url: likely(fc.oneof(fc.webUrl(), fc.constant(`data:image/png;base64,${pngBase64}`))) }),
);
const imageBlock = fc.record({ type: fc.constant("image"), source: likely(source) });
const simpleBlocks = likely(fc.oneof(fc.string(), fc.array(likely(fc.oneof(textBlock, imageBlock)), { maxLength: 3 })));
const document = fc.record(
  {
    type: fc.constant("document"),
    source: likely(
      fc.oneof(
        fc.record({ type: named("text", "url", "base64"), data: likely(fc.string()) }),
        fc.record({ type: fc.constant("content"), content: simpleBlocks }),
      ),
    ),
    title: likely(fc.string()),
    citations: likely(fc.record({ enabled: fc.boolean() })),
  },
  { requiredKeys: ["type", "source"] },
);
const toolResult = fc.record(
  { type: fc.constant("tool_result"), tool_use_id: likely(fc.string()), content: simpleBlocks, is_error: likely(fc.boolean()) },
  { requiredKeys: ["type", "tool_use_id"] },
);
const toolName = named("f", "get_weather", "<think>", "");
const toolUse = fc.record({
  type: fc.constant("tool_use"),
  id: likely(fc.string()),
  name: toolName,
  input: likely(fc.dictionary(fc.string(), fc.jsonValue())),
});
const thinking = fc.record({ type: fc.constant("thinking"), thinking: likely(fc.string()), signature: anything });
const blocks = (...kinds: fc.Arbitrary<unknown>[]) => likely(fc.oneof(fc.string(), fc.array(likely(fc.oneof(...kinds)), { maxLength: 4 })));
const user = fc.record({ role: fc.constant("user"), content: blocks(textBlock, imageBlock, document, toolResult) });
const assistant = fc.record({ role: fc.constant("assistant"), content: blocks(textBlock, thinking, toolUse) });
const system = fc.record({ role: fc.constant("system"), content: blocks(textBlock) });
const conversation = fc
  .tuple(fc.array(likely(fc.oneof(user, assistant, system)), { maxLength: 3 }), user)
  .map(([before, last]) => [...before, last]);

const schema = likely(fc.dictionary(fc.constantFrom("type", "properties", "$schema", "required"), anything));
const tool = fc.record(
  { type: named("custom"), name: toolName, description: likely(fc.string()), input_schema: schema, strict: anything },
  { requiredKeys: ["name", "input_schema"] },
);
const body = fc
  .tuple(
    fc.record(
      {
        max_tokens: likely(fc.integer({ min: 1, max: 9999 })),
        messages: likely(conversation),
        system: blocks(textBlock),
        tools: likely(fc.array(likely(tool), { maxLength: 2 })),
        tool_choice: likely(fc.record({ type: named("auto", "any", "tool", "none"), name: toolName }, { requiredKeys: ["type"] })),
        thinking: likely(fc.record({ type: named("enabled", "adaptive", "disabled"), budget_tokens: likely(fc.nat()) })),
        output_config: likely(fc.record({ format: likely(fc.record({ type: named("json_schema"), schema })) })),
        stream: likely(fc.boolean()),
      },
      { requiredKeys: ["max_tokens", "messages"] },
    ),
    fc.dictionary(fc.constantFrom(...fieldNames.split(" ")), anything, { maxKeys: 1 }),
  )
  .map(([request, rest]) => JSON.stringify({ ...request, ...rest }));

const { app, lines } = makeApp(helloEvents);

async function expectAnswerOrEnvelope(path: string, text: string | Uint8Array): Promise<number> {
  const response = await app.request(path, post(text));
  const answer = await response.text();
  expect(lines.splice(0)).toHaveLength(1);
  if (response.status !== 200) {
    expect([400, 404]).toContain(response.status);
    expect(JSON.parse(answer)).toEqual({
      type: "error",
      error: {
        type: response.status === 404 ? "not_found_error" : "invalid_request_error",
        message: expect.any(String),
        details: expect.toSatisfy((details) => details === null || typeof (details as { error_code: unknown }).error_code === "string"),
      },
      request_id: response.headers.get("request-id"),
    });
  }
  return response.status;
}

test.each(paths)("any request-like JSON to %s is answered or refused in the envelope", async (path) => {
  const statuses = new Set<number>();
  await fc.assert(
    fc.asyncProperty(body, async (text) => {
      statuses.add(await expectAnswerOrEnvelope(path, text));
    }),
    { numRuns: 1000 },
  );
  // The generator reaches both sides of the fence.
  expect(statuses).toContain(200);
  expect(statuses).toContain(400);
});

test.each(paths)("any text and any bytes to %s are refused in the envelope", async (path) => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json(), fc.uint8Array()), async (bytes) => {
      expect(await expectAnswerOrEnvelope(path, bytes)).not.toBe(200);
    }),
    { numRuns: 300 },
  );
});

test.each(paths)("deep nesting in %s is refused, not a stack overflow", async (path) => {
  const [open, close] = ['{"a":'.repeat(100_000), "}".repeat(100_000)];
  const deep = `${open}1${close}`;
  const around = (messages: string, rest = "") => `{"max_tokens": 1, "messages": [${messages}{"role": "user", "content": "a"}]${rest}}`;
  for (const text of [
    `{"max_tokens": 1, "messages": ${deep}}`,
    around(`{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": ${deep}}]},`),
    around("", `, "tools": [{"name": "f", "input_schema": ${deep}}]`),
    around("", `, "container": ${deep}`),
  ]) {
    expect(await expectAnswerOrEnvelope(path, text)).toBe(400);
  }
});
