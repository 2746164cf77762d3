import { describe, expect, it } from "vitest";
import type { OutputFormat } from "../../src/core/structured-output.ts";
import { Matcher } from "../../src/grammar/matcher.ts";
import { accepts, allowedTokens, compile, compileConstraint, drawAnswer, endId, tokenizer } from "./nano-vocabulary.ts";

function schemaFormat(schema: unknown): OutputFormat {
  return { type: "json_schema", schema, isStrict: false, whitespace: "flexible", param: "schema" };
}

const formats: Record<string, OutputFormat> = {
  json: { type: "json_object", whitespace: "flexible" },
  phone: { type: "regex", pattern: "\\+?[0-9]{2,4}( [0-9]{2,3}){1,3}", param: "regex" },
  emoji: { type: "regex", pattern: "[🦊-🦎]+|[^\\x00-\\uffff]{2}", param: "regex" },
  choice: { type: "choice", texts: ["yes", "no", "not sure", "不知道"], param: "choice" },
  sums: { type: "grammar", ebnf: 'root ::= term ("+" term)*  # a sum\nterm ::= [1-9] [0-9]{0,2} | "(" root ")"', param: "grammar" },
  // llama.cpp's converter of schemas names rules after properties: "2fa" and "$id".
  "odd names": { type: "grammar", ebnf: 'root ::= 2fa-kv | -id\n2fa-kv ::= "2"\n-id ::= "$" 2fa-kv?', param: "grammar" },
  quoted: { type: "grammar", ebnf: 'root ::= "\\"" [^"\\\\\\x00-\\x1f]{3,} "\\"" .', param: "grammar" },
};

describe("formats", () => {
  it.each([
    ["json", '{"a": [1, 2.5e3, null, {"b": "\\u00e9"}]}', true],
    ["json", '{\n  "a": true\n}', true],
    ["json", '{ "a": [ ] }', true],
    ["json", "[]", false],
    ["json", '{"a": 01}', false],
    ["json", '{"a": "\\ud800"}', false],
    ["json", '{"a": 1e999}', false],
    ["json", `{${" ".repeat(100)}}`, false],
    ["phone", "+49 30 123", true],
    ["phone", "+49 30 1234", false],
    ["emoji", "🦊🦎🦊", true],
    ["emoji", "🐶🐱", true],
    ["emoji", "🐶", false],
    ["choice", "not sure", true],
    ["choice", "不知道", true],
    ["choice", "not", false],
    ["choice", "", false],
    ["sums", "12+(3+45)+6", true],
    ["sums", "12+", false],
    ["sums", "1234", false],
    ["odd names", "$2", true],
    ["odd names", "2$", false],
    ["quoted", '"abc"!', true],
    ["quoted", '"ab"!', false],
    ["quoted", '"a\nb"!', false],
  ])("%s: %j is accepted: %s", (name, text, isAccepted) => {
    expect(accepts(formats[name]!, text)).toBe(isAccepted);
  });

  it("end only where the grammar may end, and never within a character", () => {
    const matcher = new Matcher(compile({ type: "regex", pattern: "é+", param: "regex" }));
    const [first, second] = Buffer.from("é");
    const byteToken = (byte: number) => tokenizer.encodeText("\u0001")[0]! - 1 + byte;

    expect(allowedTokens(matcher.mask())).not.toContain(endId);
    expect(matcher.accept(byteToken(first!))).toBe(true);
    expect(allowedTokens(matcher.mask())).toEqual([byteToken(second!)]);
    expect(matcher.accept(byteToken(second!))).toBe(true);
    expect(allowedTokens(matcher.mask())).toContain(endId);
  });

  it("allow no control token, whatever text they allow", () => {
    const mask = allowedTokens(compile({ type: "grammar", ebnf: "root ::= .*", param: "grammar" }).maskOf(compileAny().start));

    expect(mask.filter((id) => tokenizer.isSpecial(id))).toEqual([endId]);
  });

  it("may begin with two line breaks behind the thinking", () => {
    const format = formats["choice"]!;
    const behind = new Matcher(compileConstraint({ format, followsThinking: true }));
    const [newline] = tokenizer.encodeText("\n");

    expect([behind.accept(newline!), behind.accept(newline!), behind.accept(newline!)]).toEqual([true, true, false]);
    expect(new Matcher(compile(format)).accept(newline!)).toBe(false);
  });

  it.each(Object.entries(formats))("%s: random answers under the masks are accepted as texts", (_, format) => {
    const grammar = compile(format);
    for (let seed = 0; seed < 30; seed++) {
      const answer = drawAnswer(grammar, seed);
      if (answer !== undefined) expect(accepts(format, answer), answer).toBe(true);
    }
  });
});

function compileAny() {
  return compile({ type: "grammar", ebnf: "root ::= .*", param: "grammar" });
}

describe("schemas", () => {
  it.each([
    [{ type: "integer", minimum: -5, maximum: 12 }, ["-5", "-1", "0", "9", "12"], ["-6", "13", "1.0", "+1", "007"]],
    [{ type: "number", minimum: 0.25, maximum: 10 }, ["0.25", "0.3", "9.9999", "10", "10.00"], ["0.2", "0.249", "10.01", "11", "-1"]],
    [{ type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 }, ["0.5", "0.12345"], ["0", "1", "0.0", "1.0", "-0.5"]],
    [{ type: "string", minLength: 2, maxLength: 3 }, ['"ab"', '"🦊🦊🦊"', '"\\n\\u0041"'], ['"a"', '"abcd"', '""']],
    [{ type: "string", pattern: "b+$" }, ['"abb"', '"b"'], ['"ba"', '""']],
    [{ type: "string", pattern: '^"\\n?$' }, ['"\\""', '"\\"\\n"'], ['"""', '"\\"\n"']],
    [
      { type: "array", items: { type: "null" }, minItems: 1, maxItems: 2 },
      ["[null]", "[null, null]", "[\n  null\n]"],
      ["[]", "[null,null,null]"],
    ],
    [
      { prefixItems: [{ type: "boolean" }], items: { type: "null" }, minItems: 0, type: "array" },
      ["[]", "[true]", "[true,null,null]"],
      ["[null]"],
    ],
    [{ const: { a: [1, "x"] } }, ['{"a":[1,"x"]}'], ['{"a":[1]}']],
    [{ type: "string", enum: ["a", 1, null] }, ['"a"'], ["1", "null"]],
    [{ enum: [1, 5, 9, "a"], minimum: 2, exclusiveMaximum: 9 }, ["5", '"a"'], ["1", "9"]],
    [{ enum: ["a", "🦊🦊", "abc", 1], minLength: 2, maxLength: 2 }, ['"🦊🦊"', "1"], ['"a"', '"abc"']],
    [{ anyOf: [{ type: "integer" }, { type: "null" }], description: "x" }, ["1", "null"], ['"1"']],
    [{ type: "string", anyOf: [{ minLength: 2 }, { enum: ["x"] }] }, ['"ab"', '"x"'], ['"y"', "2"]],
    [{ allOf: [{ type: "integer", minimum: 2 }, { maximum: 3 }] }, ["2", "3"], ["1", "4"]],
    [{ $ref: "#/$defs/a~1b", $defs: { "a/b": { type: "null" } } }, ["null"], ["1"]],
    [{ type: "array", items: false }, ["[]"], ["[1]"]],
    [{ type: "number", multipleOf: 0.1, minimum: 0, maximum: 1 }, ["0", "0.5", "1"], ["0.05", "0.15", "1.1"]],
    [{ type: "integer", multipleOf: 2.5, minimum: -10, exclusiveMaximum: 10 }, ["-10", "0", "5"], ["2.5", "10", "1"]],
    [
      { type: "object", propertyNames: { enum: ["a", "b"] }, additionalProperties: { type: "null" } },
      ["{}", '{"a": null, "b": null}'],
      ['{"c": null}'],
    ],
    [{ type: "object", propertyNames: { pattern: "^[A-Z]+$" } }, ['{"AB": 1}'], ['{"Ab": 1}', '{"": 1}']],
    [
      { type: "object", propertyNames: { enum: ["a", "b"] }, required: ["a"], additionalProperties: { type: "null" } },
      ['{"a": null}', '{"a":null,"b":null}'],
      ['{"b": null}', "{}"],
    ],
    [
      { type: "object", properties: { a: true, b: true }, propertyNames: { enum: ["b"] } },
      ['{"b": 1}', "{}"],
      ['{"a": 1}', '{"a": 1, "b": 1}'],
    ],
    [{ type: "object", patternProperties: { "^x-": { type: "null" } } }, ["{}", '{"x-a": null}'], ['{"x-a": 1}', '{"a": null}']],
    [{ patternProperties: { "^x": { type: "null" } }, additionalProperties: false }, ['{"x": null}'], ['{"x": 1}', '{"a": null}', "1"]],
    [
      { patternProperties: { "^x": { type: "null" } }, properties: { y: { type: "integer" } }, additionalProperties: false },
      ["{}", '{"y": 1}'],
      ['{"x": null}', '{"y": null}'],
    ],
    [
      { allOf: [{ patternProperties: { "^x": true } }, { patternProperties: { "^y": true } }, { properties: { y: { type: "integer" } } }] },
      ["{}", '{"y": 1}'],
      ['{"y": null}'],
    ],
    [{ type: "object", properties: { a: { not: {} }, b: { type: "null" } } }, ['{"b": null}', "{}"], ['{"a": null}']],
    [{ type: "array", prefixItems: [{ type: "null" }], minItems: 2 }, ["[null, 1]", "[null, 1, 2]"], ["[null]", "[1, 1]"]],
    [{ enum: [{ a: 1, b: 2 }, 3], const: { b: 2, a: 1 } }, ['{"a":1,"b":2}'], ["3"]],
    [
      {
        $ref: "#/$defs/node",
        $defs: {
          node: {
            type: "object",
            properties: { v: { type: "null" }, next: { $ref: "#/$defs/node", required: ["v"], nullable: true } },
          },
        },
      },
      ["{}", '{"next": {"v": null, "next": {"v": null}}}'],
      ['{"next": {}}', '{"next": {"v": null, "next": {}}}'],
    ],
    [
      // Conditions are not enforced, whether there is one or, as here, several.
      { type: "object", properties: { a: { type: "null" } }, allOf: [{ if: { required: ["a"] } }, { if: { required: ["b"] } }] },
      ["{}", '{"a": null}'],
      ['{"a": 1}'],
    ],
    [{ type: "string", format: "date" }, ['"0001-01-01"', '"2024-02-28"'], ['"0000-01-01"', '"2024-02-30"']],
    [
      { type: "string", format: "email" },
      [`"${"a".repeat(20)}.${"b".repeat(20)}.${"c".repeat(20)}@d.de"`],
      [`"${"a".repeat(32)}.${"b".repeat(32)}@d.de"`],
    ],
    [{ type: "string", format: "email", pattern: "^[a-z]@[a-z]$" }, ['"a@b"'], ['"a@b.de"']],
  ])("%j allows %j and not %j", (schema, valid, invalid) => {
    expect(valid.filter((text) => !accepts(schemaFormat(schema), text))).toEqual([]);
    expect(invalid.filter((text) => accepts(schemaFormat(schema), text))).toEqual([]);
  });

  it("has properties in order, leaves out optional ones, and adds others only where the schema says so", () => {
    const properties = { a: { type: "integer" }, b: { type: "integer" }, c: { type: "integer" } };
    const closed = schemaFormat({ type: "object", properties, required: ["b"] });
    const open = schemaFormat({ type: "object", properties, required: ["b"], additionalProperties: { type: "null" } });

    expect(['{"b": 1}', '{"a":1,"b":2}', '{"b":2, "c":3}'].every((text) => accepts(closed, text))).toBe(true);
    expect(['{"a": 1}', '{"b":1,"a":2}', '{"b":1,"d":null}', '{,"b":1}'].some((text) => accepts(closed, text))).toBe(false);
    expect(['{"b":1,"d":null,"ab":null,"":null}', '{"a":1,"b":1}'].every((text) => accepts(open, text))).toBe(true);
    // A second occurrence of a named property, in whatever spelling, would replace the first.
    expect(['{"b":1,"b":null}', '{"b":1,"\\u0062":null}', '{"b":1,"__proto__":null}'].some((text) => accepts(open, text))).toBe(false);
  });

  const [tree, leaf] = [{ $ref: "#/$defs/tree" }, { $ref: "#/$defs/leaf" }];

  it.each([
    ["allOf around a reference, for a description", { allOf: [tree], description: "of Pydantic 1 and OpenAPI 3.0" }],
    ["allOf", { allOf: [tree, { required: ["v"] }] }],
    ["allOf of schemas that both recur", { allOf: [tree, leaf] }],
    ["keywords beside anyOf", { type: "object", anyOf: [tree, leaf] }],
    ["an unknown keyword beside anyOf", { nullable: true, anyOf: [tree, leaf] }],
    ["Pydantic's discriminated union", { discriminator: { propertyName: "kind" }, oneOf: [tree, leaf] }],
  ])("takes %s that leads back to itself", (_, child) => {
    const kind = (name: string) => ({ const: name, type: "string" });
    const schema = schemaFormat({
      ...tree,
      $defs: {
        tree: { type: "object", properties: { kind: kind("tree"), v: { type: "null" }, child } },
        leaf: { type: "object", properties: { kind: { type: "string" }, v: { type: "null" }, child: tree } },
      },
    });

    expect(accepts(schema, '{"child": {"v": null, "child": {"v": null}}}')).toBe(true);
    expect(accepts(schema, '{"child": {"v": null, "child": {"v": 1}}}')).toBe(false);
    expect(accepts(schema, '{"kind": "leaf"}')).toBe(false);
  });

  it("allows no key beyond those that are named and required", () => {
    const schema = schemaFormat({
      type: "object",
      propertyNames: { enum: ["a"] },
      required: ["a"],
      additionalProperties: { type: "null" },
    });

    expect(accepts(schema, '{"a": null}')).toBe(true);
    expect(accepts(schema, '{"a": null, "b": null}')).toBe(false);
  });

  it.each([
    ["lists", "items", "[", "]"],
    ["maps", "additionalProperties", '{"a": ', "}"],
  ])("takes %s 30 levels deep", (_, keyword, open, close) => {
    const type = keyword === "items" ? "array" : "object";
    const schema = Array.from({ length: 30 }).reduce((inner) => ({ type, [keyword]: inner }), { type: "integer" });

    expect(accepts(schemaFormat(schema), `${open.repeat(30)}1${close.repeat(30)}`)).toBe(true);
    expect(accepts(schemaFormat(schema), `${open.repeat(31)}1${close.repeat(31)}`)).toBe(false);
  });

  it("allows any value where the schema says nothing", () => {
    for (const text of ['"x"', "[1, {}]", '{"a": {"b": []}}', "null", "-0.5e-7"]) expect(accepts(schemaFormat({}), text)).toBe(true);
  });
});

it("allows no token after the end", () => {
  const matcher = new Matcher(compile({ type: "choice", texts: ["yes"], param: "choice" }));
  for (const id of tokenizer.encodeText("yes")) expect(matcher.accept(id)).toBe(true);
  expect(matcher.accept(endId)).toBe(true);
  expect(allowedTokens(matcher.mask())).toEqual([]);
});
