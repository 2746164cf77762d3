// The form that a request demands of an answer: its spellings, and what contradicts itself.

import { describe, expect, test } from "vitest";
import type { OutputFormat, TextFormat } from "../../src/core/structured-output.ts";
import { chatPath, type Envelope, makeApp, post, userSays } from "./make-app.ts";

const schema = { type: "object", properties: { a: { type: "integer" } } };
const f = { type: "function", function: { name: "f", parameters: schema } } as const;
const g = { type: "function", function: { name: "g", strict: true } } as const;
const json = (param: string, isStrict = false): TextFormat => ({ type: "json_schema", schema, isStrict, whitespace: "flexible", param });

async function ask(fields: object) {
  const { app, calls } = makeApp();
  const response = await app.request(chatPath, post(userSays("Hi", fields)));
  return { status: response.status, body: (await response.json()) as Envelope, format: calls[0]?.options.format };
}

describe("what is demanded", () => {
  const inSchema = "response_format.json_schema.schema";
  const ofF = { name: "f", parameters: schema, isStrict: false, param: "tools[0].function.parameters" };
  const ofG = { name: "g", parameters: undefined, isStrict: true, param: "tools[1].function.parameters" };
  const calls = { type: "tool_calls", isRequired: true, maxCalls: Infinity } as const;
  const allowed = { type: "allowed_tools", allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "g" } }] } };

  test.each<[object, OutputFormat | undefined]>([
    [{}, undefined],
    [{ response_format: { type: "text" } }, undefined],
    [{ response_format: null, guided_json: null, structured_outputs: {} }, undefined],
    [{ response_format: { type: "json_object" } }, { type: "json_object", whitespace: "flexible" }],
    [{ response_format: { type: "json_schema", json_schema: { name: "n", schema } } }, json(inSchema)],
    [{ response_format: { type: "json_schema", json_schema: { name: "n", schema, strict: true } } }, json(inSchema, true)],
    [{ response_format: { type: "json_object", schema } }, json("response_format.schema")],
    [{ response_format: { type: "json_object", value: schema } }, json("response_format.value")],
    [{ response_format: { type: "json_object", schema, value: {} } }, json("response_format.schema")],
    [{ response_format: { type: "json_object", schema: null, value: null } }, { type: "json_object", whitespace: "flexible" }],
    [{ response_format: { type: "json_schema", schema } }, json("response_format.schema")],
    [{ response_format: { type: "json_schema", json_schema: { schema }, schema: {} } }, json(inSchema)],
    [{ json_schema: schema, grammar: "" }, json("json_schema")],
    [{ grammar: 'root ::= "a"' }, { type: "grammar", ebnf: 'root ::= "a"', param: "grammar" }],
    [
      { ebnf: 'root ::= "a"', regex: "" },
      { type: "grammar", ebnf: 'root ::= "a"', param: "ebnf" },
    ],
    [
      { regex: "a", ebnf: "" },
      { type: "regex", pattern: "a", param: "regex" },
    ],
    [{ guided_json: schema }, json("guided_json")],
    [{ guided_regex: "a" }, { type: "regex", pattern: "a", param: "guided_regex" }],
    [{ guided_choice: ["a", "b"] }, { type: "choice", texts: ["a", "b"], param: "guided_choice" }],
    [{ guided_grammar: 'root ::= "a"' }, { type: "grammar", ebnf: 'root ::= "a"', param: "guided_grammar" }],
    [{ structured_outputs: { json: schema } }, json("structured_outputs.json")],
    [{ structured_outputs: { json_object: true } }, { type: "json_object", whitespace: "flexible" }],
    [{ structured_outputs: { regex: "a" } }, { type: "regex", pattern: "a", param: "structured_outputs.regex" }],
    [{ structured_outputs: { choice: ["a"] } }, { type: "choice", texts: ["a"], param: "structured_outputs.choice" }],
    [{ structured_outputs: { grammar: "x" } }, { type: "grammar", ebnf: "x", param: "structured_outputs.grammar" }],
    [{ tools: [f], tool_choice: "auto" }, undefined],
    [{ tools: [f, g], tool_choice: "none" }, undefined],
    [{ tools: [f, g] }, { ...calls, tools: [ofF, ofG], isRequired: false }],
    [
      { tools: [f], tool_choice: "required" },
      { ...calls, tools: [ofF] },
    ],
    [
      { tools: [f], tool_choice: "required", parallel_tool_calls: false },
      { ...calls, tools: [ofF], maxCalls: 1 },
    ],
    [
      { tools: [f, g], tool_choice: { type: "function", function: { name: "g" } } },
      { ...calls, tools: [ofG], maxCalls: 1 },
    ],
    [
      { tools: [f, g], tool_choice: allowed },
      { ...calls, tools: [ofG] },
    ],
    [
      { tools: [f, g], response_format: { type: "json_object" }, parallel_tool_calls: false },
      { ...calls, tools: [ofF, ofG], isRequired: false, maxCalls: 1, otherwise: { type: "json_object", whitespace: "flexible" } },
    ],
    [
      { tools: [f], guided_json: schema },
      { ...calls, tools: [ofF], isRequired: false, otherwise: json("guided_json") },
    ],
    [
      { tools: [f], tool_choice: "required", guided_json: schema },
      { ...calls, tools: [ofF] },
    ],
    [
      { tools: [f], tool_choice: "none", guided_regex: "a" },
      { type: "regex", pattern: "a", param: "guided_regex" },
    ],
  ])("by %j", async (fields, format) => {
    const { status, format: asked } = await ask(fields);
    expect(status).toBe(200);
    expect(asked).toEqual(format);
  });
});

describe("is refused", () => {
  test.each<[object, string, RegExp]>([
    [
      { response_format: { type: "json_schema" } },
      "response_format.json_schema.schema",
      /expected a JSON Schema, but the field is missing/,
    ],
    [{ response_format: { type: "json_schema", json_schema: { schema: [] } } }, "response_format.json_schema.schema", /a JSON Schema, got/],
    [{ response_format: { type: "xml" } }, "response_format.type", /one of "text", "json_object", "json_schema", got "xml"/],
    [{ guided_json: "x" }, "guided_json", /a JSON Schema, got "x"/],
    [{ guided_choice: "x" }, "guided_choice", /an array of strings, got "x"/],
    [{ structured_outputs: { structural_tag: {} } }, "structured_outputs", /an object with no fields but .* and "grammar"/],
    [{ guided_json: {}, guided_regex: "a" }, "guided_regex", /no second output format beside guided_json/],
    [
      { response_format: { type: "json_object" }, structured_outputs: { choice: ["a"] } },
      "structured_outputs.choice",
      /no second output format beside/,
    ],
    [
      { structured_outputs: { json: {}, regex: "a" } },
      "structured_outputs.regex",
      /no second output format beside structured_outputs.json/,
    ],
    [{ guided_regex: "a", ignore_eos: true }, "ignore_eos", /expected false with an output format/],
    [{ tools: [f], guided_json: {}, guided_regex: "a" }, "guided_regex", /no second output format beside guided_json/],
  ])("%j", async (fields, param, message) => {
    const { status, body, format } = await ask(fields);
    expect(status).toBe(400);
    expect(body.error.param).toBe(param);
    expect(body.error.message).toMatch(message);
    expect(format).toBeUndefined();
  });
});
