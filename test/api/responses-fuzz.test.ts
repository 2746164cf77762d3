// Whatever is sent to the routes of the Responses API: an answer that the schema holds for, or an envelope with a status of the client's.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { responseSchema } from "../../src/api/responses/response-schema.ts";
import { type Envelope, helloEvents, makeApp, pngBase64, post } from "./make-app.ts";
import { readEvents } from "./response-schema.ts";
import { callEvents, responsesPath } from "./responses-app.ts";

const scalar = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, 1, -1, 2 ** 53, 1e308, "", "text", "auto", "none", "ernie", [], {}),
  fc.string(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const anything = fc.oneof(scalar, fc.jsonValue({ maxDepth: 4 }));

const wildFields = ["input", "previous_response_id", "background", "conversation", "prompt", "moderation", "__proto__", "constructor"];
const rarely = <T>(value: fc.Arbitrary<T>) => fc.oneof({ weight: 60, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

/** Values as they should be; with `isWild`, now and then anything in their place. */
function requests(isWild: boolean) {
  const or = <T>(good: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
    isWild ? fc.oneof({ weight: 60, arbitrary: good }, { weight: 1, arbitrary: anything }) : good;
  const text = or(fc.string({ minLength: 1 }));
  const url = or(fc.constant(`data:image/png;base64,${pngBase64}`));
  const detail = fc.constantFrom("auto", "low", "high", "original");
  const inputPart = or(
    fc.oneof(
      fc.record({ type: fc.constant("input_text"), text }),
      fc.record({ type: fc.constant("input_image"), image_url: url, detail: or(detail) }, { requiredKeys: ["type", "image_url"] }),
    ),
  );
  const outputPart = or(
    fc.oneof(
      fc.record({ type: fc.constant("output_text"), text, annotations: fc.constant([]), logprobs: fc.constant([]) }),
      fc.record({ type: fc.constant("refusal"), refusal: text }),
    ),
  );
  const parts = (part: fc.Arbitrary<unknown>) => or(fc.oneof(fc.string(), fc.array(part, { minLength: 1, maxLength: 3 })));
  const name = or(fc.constantFrom("f", "get_weather"));
  const ids = fc.constantFrom("call_1", "call_2");
  const call = fc.record({ type: fc.constant("function_call"), call_id: or(ids), name, arguments: or(fc.json()) });
  const item = or(
    fc.oneof(
      fc.record({ role: or(fc.constantFrom("system", "developer", "user")), content: parts(inputPart) }),
      fc.record({ type: fc.constant("message"), id: text, role: fc.constant("assistant"), status: anything, content: parts(outputPart) }),
      fc.record({
        type: fc.constant("reasoning"),
        id: text,
        summary: or(fc.array(fc.record({ type: fc.constant("summary_text"), text }))),
        content: or(fc.array(fc.record({ type: fc.constant("reasoning_text"), text }))),
      }),
      call,
      ...(isWild ? [fc.record({ type: fc.constant("item_reference"), id: text })] : []),
    ),
  );
  const result = fc.record({ type: fc.constant("function_call_output"), call_id: or(ids), output: parts(inputPart) });
  const withResult = fc.tuple(call, result).map(([one, other]) => [one, { ...other, ...(isWild ? {} : { call_id: one.call_id }) }]);
  const input = fc.oneof(
    text,
    fc.tuple(fc.array(item, { minLength: 1, maxLength: 4 }), withResult).map(([items, pair]) => [...items, ...pair]),
  );
  const tool = or(
    fc.record(
      {
        type: fc.constant("function"),
        name: fc.constant("get_weather"),
        description: or(fc.string()),
        parameters: or(fc.constant({ type: "object" })),
        strict: or(fc.boolean()),
      },
      { requiredKeys: ["type", "name"] },
    ),
  );
  const namedTool = fc.constant({ type: "function", name: "get_weather" });
  const choice = fc.oneof(
    fc.constantFrom("none", "auto", "required"),
    namedTool,
    fc.record({
      type: fc.constant("allowed_tools"),
      mode: or(fc.constant("auto")),
      tools: fc.array(namedTool, { minLength: 1, maxLength: 2 }),
    }),
  );
  const tools = fc.record({
    tools: or(fc.array(tool, { minLength: 1, maxLength: 1 })),
    tool_choice: or(choice),
    parallel_tool_calls: or(fc.boolean()),
  });
  const format = fc.oneof(
    fc.constantFrom({ type: "text" }, { type: "json_object" }),
    fc.record({ type: fc.constant("json_schema"), name: text, schema: or(fc.constant({ type: "object" })), strict: or(fc.boolean()) }),
  );
  const form = fc.record({ text: or(fc.record({ format: or(format), verbosity: anything })) });
  const rest = fc.record(
    {
      instructions: text,
      max_output_tokens: or(fc.integer({ min: 1, max: 1e6 })),
      temperature: or(fc.double({ min: 0, max: 2, noNaN: true })),
      top_p: or(fc.double({ min: 0, max: 1, noNaN: true })),
      top_k: or(fc.integer({ min: -1, max: 1e6 })),
      top_logprobs: or(fc.integer({ min: 0, max: 20 })),
      include: or(fc.array(fc.constantFrom("message.output_text.logprobs", "reasoning.encrypted_content"))),
      reasoning: or(
        fc.record(
          { effort: or(fc.constantFrom("none", "low", "high", null)), summary: or(fc.constantFrom("auto", "concise", "detailed", null)) },
          { requiredKeys: [] },
        ),
      ),
      metadata: or(fc.dictionary(fc.string({ maxLength: 64 }), fc.string({ maxLength: 512 }), { maxKeys: 16 })),
      store: or(fc.boolean()),
      truncation: or(fc.constantFrom("auto", "disabled")),
      stream_options: fc.record({ include_obfuscation: fc.boolean() }),
      service_tier: anything,
      user: anything,
      chat_template_kwargs: or(fc.record({ enable_thinking: or(fc.boolean()) })),
      ...(isWild && Object.fromEntries(wildFields.map((name) => [name, rarely(anything)]))),
    },
    { requiredKeys: [] },
  );
  return fc
    .tuple(input, fc.oneof(tools, form, fc.constant({})), rest, fc.boolean())
    .map(([given, more, others, stream]) => ({ ...more, ...others, stream, input: (others as { input?: unknown }).input ?? given }));
}

const script = ({ chat }: { chat: { toolUse?: unknown } }) => play(chat.toolUse ? callEvents : helloEvents);

async function* play<T>(events: readonly T[]): AsyncGenerator<T> {
  yield* events;
}

/** The answer's status. Fails unless the answer is a response, a stream or an envelope. */
async function expectRightAnswer(answer: Response): Promise<number> {
  const text = await answer.text();
  expect(answer.headers.get("x-request-id")).toBeTruthy();
  if (answer.status === 200) {
    if (text.startsWith("event:")) readEvents(text);
    else responseSchema.parse(JSON.parse(text));
    return 200;
  }
  const { error } = JSON.parse(text) as Envelope;
  expect(Object.keys(error).toSorted()).toEqual(["code", "message", "param", "type"]);
  expect(error.type).toBe("invalid_request_error");
  expect([400, 404]).toContain(answer.status);
  return answer.status;
}

const { app } = makeApp(script);

test("1,000 valid requests are answered", async () => {
  await fc.assert(
    fc.asyncProperty(requests(false), async (body) => {
      const answer = await app.request(responsesPath, post(body));
      const shown = answer.clone();
      expect(await expectRightAnswer(answer), await shown.text()).toBe(200);
    }),
    { numRuns: 1000 },
  );
});

test("1,000 requests with anything in any place are answered or refused in the envelope", async () => {
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(requests(true), async (body) => {
      const status = await expectRightAnswer(await app.request(responsesPath, post(body)));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }),
    { numRuns: 1000 },
  );
  // The generator reaches both sides of the fence.
  expect(statuses.get(200)).toBeGreaterThan(50);
  expect(statuses.get(400)).toBeGreaterThan(50);
});
