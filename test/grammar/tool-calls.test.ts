import { Ajv2020 } from "ajv/dist/2020.js";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CallsFormat } from "../../src/core/structured-output.ts";
import { Matcher } from "../../src/grammar/matcher.ts";
import { schemas } from "./random-schemas.ts";
import { accepts, allowedTokens, compile, drawAnswer, tokenizer } from "./nano-vocabulary.ts";

const weather = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 7 } },
  required: ["city"],
};

function toolCalls(options: Partial<CallsFormat> = {}): CallsFormat {
  const tools = [
    { name: "get_weather", parameters: weather, isStrict: true, param: "tools[0].function.parameters" },
    { name: "now", parameters: undefined, isStrict: true, param: "tools[1].function.parameters" },
  ];
  return { type: "tool_calls", tools, isRequired: true, maxCalls: Infinity, ...options };
}

/** Calls, or a text of the form. The calls are compact; the form may have other white space, although its rules have the same names. */
function callsOr(otherwise: CallsFormat["otherwise"] & object): CallsFormat {
  return toolCalls({ isRequired: false, otherwise });
}

const forecast = callsOr({
  type: "json_schema",
  schema: { type: "object", properties: { sky: { enum: ["sunny", "cloudy"] }, notes: {} }, required: ["sky"] },
  isStrict: true,
  whitespace: "flexible",
  param: "response_format.json_schema.schema",
});
const sum = callsOr({ type: "grammar", ebnf: 'root ::= value ("+" value)*\nvalue ::= [0-9]{1,3}', param: "guided_grammar" });

const nanoCall = '<tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>';
const thinkingCall = '\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}}\n</tool_call>\n';
const nowCall = '<tool_call>{"name": "now", "arguments": {}}</tool_call>';

describe("tool calls", () => {
  it.each([
    ["as nano writes them", toolCalls(), nanoCall, true],
    ["as the thinking model writes them", toolCalls(), thinkingCall, true],
    ["several", toolCalls(), `${nanoCall}\n${nowCall}`, true],
    ["more than allowed", toolCalls({ maxCalls: 1 }), nanoCall + nowCall, false],
    ["none where one is required", toolCalls(), "Hello", false],
    ["text before a required one", toolCalls(), `Hello${nanoCall}`, false],
    ["none where none is required", toolCalls({ isRequired: false }), "Hello", true],
    ["after text", toolCalls({ isRequired: false }), `I will look.\n${nanoCall}`, true],
    ["followed by text", toolCalls({ isRequired: false }), `${nanoCall} Done.`, false],
    ["of an unknown tool", toolCalls({ isRequired: false }), nanoCall.replace("get_weather", "get_time"), false],
    ["instead of a text in a form", forecast, nanoCall, true],
    ["several instead of a text in a form", forecast, `${thinkingCall}${nowCall}`, true],
    ["left out for a text in a form", forecast, '{\n  "sky": "sunny",\n  "notes": [1, {"a": null}]\n}', true],
    ["left out for a text in another form", forecast, '{"sky": "blue"}', false],
    ["left out for a text in no form", forecast, "It is sunny.", false],
    ["behind a text in a form", forecast, `{"sky": "sunny"}${nanoCall}`, false],
    ["before a text in a form", forecast, `${nanoCall}{"sky": "sunny"}`, false],
    ["with line breaks that only the form may have", forecast, nanoCall.replace("{", "{\n"), false],
    ["with values of a grammar's rules", sum, "12+345", true],
    ["beside a grammar's rules of the same name", sum, nanoCall, true],
    ["with wrong arguments", toolCalls({ isRequired: false }), nanoCall.replace("Oslo", 'Oslo", "days": 9, "x": "'), false],
  ])("%s", (_, format, text, isAccepted) => {
    expect(accepts(format, text)).toBe(isAccepted);
  });

  it.each<[CallsFormat["otherwise"] & object, RegExp]>([
    [{ type: "json_schema", schema: { minimum: 2, maximum: 1 }, isStrict: true, whitespace: "flexible", param: "s" }, /contradicts itself/],
    [{ type: "json_schema", schema: { type: "no" }, isStrict: true, whitespace: "flexible", param: "s" }, /^s\.type: /],
    [{ type: "grammar", ebnf: "root ::= missing", param: "guided_grammar" }, /the rule "missing"/],
    [{ type: "choice", texts: [], param: "guided_choice" }, /^guided_choice: expected 1 to/],
  ])("are refused beside a form that is: %j", (otherwise, message) => {
    expect(() => compile(callsOr(otherwise))).toThrow(message);
  });

  it("begin with the control token, never with tokens that spell it", () => {
    const mask = allowedTokens(new Matcher(compile(toolCalls())).mask());
    const texts = new Set(mask.map((id) => Buffer.from(tokenizer.tokenBytes(id)).toString()));

    expect(texts).toEqual(new Set(["\n", "<tool_call>"]));
  });

  it("have arguments that validate, whatever tokens the model prefers, under 100 random sets of tools", () => {
    const ajv = new Ajv2020({ strict: false, ownProperties: true, validateFormats: false });
    let [finished, drawn] = [0, 0];
    const objectSchemas = schemas.filter((schema) => typeof schema === "object" && schema["type"] === "object");
    fc.assert(
      fc.property(fc.array(objectSchemas, { minLength: 1, maxLength: 3 }), fc.nat(), fc.boolean(), (parameters, seed, isRequired) => {
        const tools = parameters.map((schema, i) => ({
          name: `tool_${i}`,
          parameters: schema,
          isStrict: true,
          param: `tools[${i}].function.parameters`,
        }));
        let grammar;
        try {
          grammar = compile(toolCalls({ tools, isRequired, maxCalls: 3 }));
        } catch (error) {
          expect((error as Error).message).toMatch(/contradicts itself/);
          return;
        }
        drawn++;
        const answer = drawAnswer(grammar, seed, 600);
        if (answer === undefined) return;
        finished++;
        const calls = [...answer.matchAll(/<tool_call>(.*?)<\/tool_call>/gs)].map(
          ([, json]) => JSON.parse(json!) as { name: string; arguments: unknown },
        );
        if (isRequired) expect(calls.length).toBeGreaterThan(0);
        for (const call of calls) {
          const tool = tools.find(({ name }) => name === call.name);
          if (!ajv.compile(tool!.parameters)(call.arguments)) throw new Error(`not valid: ${answer}`);
        }
      }),
      { numRuns: 100, seed: 3 },
    );
    expect(finished).toBeGreaterThan(drawn / 2);
  });
});
