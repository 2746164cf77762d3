import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import type { OutputFormat } from "../../src/core/structured-output.ts";
import { outputGrammar } from "../../src/grammar/output-grammar.ts";
import { compile, drawAnswer } from "./nano-vocabulary.ts";

function schemaFormat(schema: unknown, isStrict = true): OutputFormat {
  return { type: "json_schema", schema, isStrict, whitespace: "compact", param: "schema" };
}

const regex = (pattern: string): OutputFormat => ({ type: "regex", pattern, param: "regex" });
const grammar = (ebnf: string): OutputFormat => ({ type: "grammar", ebnf, param: "grammar" });
const nested = (depth: number): unknown => Array.from({ length: depth }).reduce((items) => ({ items }), {});
const alternatives = (offset: number) => ({ anyOf: Array.from({ length: 30 }, (_, i) => ({ minimum: offset + i / 8 })) });

const refused: [OutputFormat, RegExp][] = [
  [schemaFormat("string"), /^schema: expected a schema \(an object, true or false\), got "string"/],
  [
    schemaFormat({ type: "object", properties: { age: { type: "int" } } }),
    /^schema\.properties\.age\.type: expected one of "string", .*, got "int"$/,
  ],
  [schemaFormat({ type: "string", minLength: -1 }), /^schema\.minLength: expected a whole number of at least 0, got -1/],
  [schemaFormat({ properties: { a: 3 } }), /^schema\.properties: expected an object of schemas by name, got \{"a":3\}/],
  [schemaFormat({ enum: [] }), /^schema\.enum: expected a list of at least one value, got \[\]/],
  [schemaFormat({ $ref: "https://example.com/s" }), /^schema\.\$ref: expected a reference into this schema/],
  [schemaFormat({ $ref: "#/$defs/none" }), /^schema\.\$ref: nothing in this schema is at "#\/\$defs\/none"/],
  [schemaFormat({ $ref: "#" }), /contradicts itself|begins with itself|circle/],
  [schemaFormat({ anyOf: [{ $ref: "#" }, { type: "null" }] }), /begins with itself/],
  [schemaFormat({ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }), /contradicts itself/],
  [schemaFormat({ $ref: "#", type: "object" }), /^schema: its schemas lead too deep/],
  [schemaFormat({ allOf: [{ $ref: "#" }], type: "object" }), /contradicts itself/],
  [
    schemaFormat({
      type: "object",
      allOf: [
        { not: { const: 1 }, if: {} },
        { not: { const: 2 }, if: true },
      ],
      propertyNames: { not: { const: "" } },
    }),
    /: schema\.allOf\[0\]\.not, schema\.allOf\[0\]\.if, schema\.allOf\[1\]\.not, schema\.allOf\[1\]\.if, schema\.propertyNames\.not; /,
  ],
  [schemaFormat({ enum: ["a"], maxLength: 1, pattern: "a" }), /: schema\.pattern \(beside enum or const\); /],
  [schemaFormat({ type: "array", items: { not: {} }, minItems: 1 }), /contradicts itself/],
  [
    schemaFormat({ type: "object", patternProperties: { "^a": true, "^b": true } }),
    /: schema\.patternProperties \(other than one pattern alone\); /,
  ],
  [schemaFormat({ type: "integer", minimum: 3, maximum: 2 }), /contradicts itself/],
  [
    schemaFormat({ type: "array", uniqueItems: true, contains: {} }),
    /^schema: these keywords cannot be enforced: schema\.uniqueItems, schema\.contains; /,
  ],
  [schemaFormat({ type: "number", multipleOf: 0.1 }), /schema\.multipleOf/],
  [schemaFormat({ oneOf: [{ type: "integer" }, { type: "number" }] }), /schema\.oneOf \(its alternatives may overlap/],
  [schemaFormat({ type: "string", format: "color" }), /schema\.format/],
  ...["p", "pL", "p{", "p{}", "p{Foo}", "p{L=}", "p{Script=Foo}", "P{Script=}", "p{RGI_Emoji}", "p{L}|\\p{L"].map(
    (property): [OutputFormat, RegExp] => [
      regex(`\\${property}`),
      /^regex: expected a Unicode property of characters, such as \\p\{L\} or \\p\{Script=Han\} at character/,
    ],
  ),
  [
    schemaFormat({ type: "string", pattern: "(?<=a)b" }),
    /^schema\.pattern: look-behind, flags and other groups than .* are not supported at character 3/,
  ],
  [
    schemaFormat({ type: "string", pattern: "(?P<year>\\d{4})" }),
    /^schema\.pattern: .* other groups than \(\?:, \(\?<name>, \(\?= and \(\?! are not/,
  ],
  [schemaFormat({ type: "string", pattern: "a(?=b" }), /^schema\.pattern: expected \) at character 6/],
  [schemaFormat({ type: "string", pattern: "(?=a)*" }), /^schema\.pattern: a repeated look-ahead at character 7/],
  [schemaFormat({ type: "string", pattern: "^(?!a)a" }), /contradicts itself/],
  [schemaFormat({ type: "string", pattern: "^(?=a)", minLength: 3, maxLength: 2 }), /contradicts itself/],
  [schemaFormat({ type: "string", pattern: "(?=.*a.{20}b)" }), /^schema\.pattern: its look-aheads and anchors combine too many states/],
  [regex("(?=((?:){60000}){60000}).*"), /^regex: its look-aheads and anchors combine too many states/],
  [regex("(?=a{60000}).*"), /^regex: its look-aheads and anchors combine too many states/],
  [schemaFormat({ type: "string", pattern: "^(?=a)", maxLength: 60_000 }), /schema\.maxLength \(beside this pattern/],
  [schemaFormat({ type: "string", pattern: "^a+b+$", maxLength: 60_000 }), /maxLength \(beside this pattern/],
  [schemaFormat({ type: "string", allOf: [{ pattern: "^a" }, { pattern: "^b" }] }), /contradicts itself/],
  [schemaFormat({ type: "string", allOf: [{ pattern: "a)" }, { pattern: "(b" }] }), /^schema\.pattern: unexpected \) at character 2/],
  [schemaFormat({ type: "string", allOf: [{ pattern: "a" }, { pattern: ["b"] }] }), /^schema\.allOf\[1\]\.pattern: expected a string/],
  [schemaFormat({ type: "string", pattern: ["a", "b"] }), /^schema\.pattern: expected a string/],
  [schemaFormat({ type: "string", allOf: [{ format: "uuid" }, { format: "email" }] }), /cannot combine two schemas that both use format/],
  [
    schemaFormat({ type: "string", allOf: ["a.{9}b", "c.{9}d", "e.{9}f"].map((pattern) => ({ pattern })) }),
    /^schema\.pattern: 3 patterns of one string combine too many states/,
  ],
  [schemaFormat(nested(101)), /^schema: expected at most 100 levels of nesting/],
  [schemaFormat({ enum: Array.from({ length: 3_000 }, (_, i) => i) }), /^schema: expected at most 2000 enum values, got 3000/],
  [schemaFormat({ description: "x".repeat(70_000) }), /^schema: expected a schema of at most 65536 bytes/],
  [schemaFormat({ allOf: [0, 1, 2, 3].map(alternatives) }), /that both use anyOf with many alternatives/],
  [regex("(a"), /^regex: expected \) at character 3/],
  [regex("a)"), /^regex: unexpected \) at character 2/],
  [regex("*a"), /nothing to repeat/],
  [regex("a{3,2}"), /expected a count of at least 3, got 2/],
  [regex("a{1,99999999}"), /expected a count of at most 65536/],
  [regex("(a)\\1"), /back references are not supported/],
  [regex("\\bword"), /word boundaries are not supported/],
  [regex("a^b"), /contradicts itself/],
  [regex("[z-a]"), /a range out of order/],
  [regex("[\\w-.]"), /^regex: a range must have one character at each end \(write \\- for a hyphen\) at character 6/],
  [regex("\\u{}"), /expected 1 hexadecimal digits at character 4/],
  [regex("\\y"), /\\y is not supported/],
  [regex("[\\ud800]"), /contradicts itself/],
  [regex("\\ud800"), /contradicts itself/],
  [regex("(?=.)\\ud800"), /contradicts itself/],
  [regex("a".repeat(5_000)), /at most 4096 characters/],
  [regex("(".repeat(100)), /more than 64 groups/],
  [regex("((a?){5,9}){7}"), /may be empty/],
  [grammar(""), /^grammar: expected a rule named root/],
  [grammar('root ::= "a'), /a literal is not closed at line 1, column 12/],
  [grammar('root ::= "a"\nx = "b"'), /unexpected = at line 2, column 3/],
  [grammar("root ::= missing"), /uses the rule "missing", which it does not define/],
  [grammar('root ::= "a" | root "b"'), /the rule "root" begins with itself/],
  [grammar('root ::= x root "b" | "c"\nx ::= "y"?'), /the rule "root" begins with itself/],
  [grammar('root ::= "a" root'), /contradicts itself/],
  [grammar("root ::= [b-a]"), /a range out of order/],
  [grammar('root ::= "\\q"'), /\\q is not an escape/],
  [grammar("root ::= " + "(".repeat(100)), /more than 64 groups/],
  [grammar('root ::= "a"\nroot ::= "b"'), /defined twice/],
  [{ type: "choice", texts: [], param: "choice" }, /^choice: expected 1 to 2000 choices/],
  [{ type: "choice", texts: ["a", ""], param: "choice" }, /^choice\[1\]: expected a text/],
  [{ type: "tool_calls", tools: [], isRequired: true, maxCalls: 1 }, /expected 1 to 128 tools to call, got 0/],
  [
    {
      type: "tool_calls",
      tools: [{ name: "f", parameters: { type: "array" }, isStrict: false, param: "tools[0].function.parameters" }],
      isRequired: true,
      maxCalls: 1,
    },
    /^tools\[0\]\.function\.parameters\.type: expected "object", which arguments are, got "array"/,
  ],
];

describe("what cannot be enforced is refused with", () => {
  for (const [format, message] of refused) {
    it(message.source, () => {
      expect(() => compile(format)).toThrow(RequestError);
      expect(() => compile(format)).toThrow(message);
    });
  }

  it("the limit, for schemas too deep for the stack", () => {
    expect(() => compile(schemaFormat(nested(100_000)))).toThrow(/expected at most 100 levels of nesting/);
  });

  it("20 of many keywords", () => {
    const properties = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`p${i}`, { contains: {} }]));

    expect(() => compile(schemaFormat({ properties }))).toThrow(/: (schema\.properties\.p\d+\.contains[, ]+){20}and 980 more; remove them/);
  });

  it("nothing but a list when the schema is not strict", () => {
    const schema = { type: "array", items: { type: "string", format: "color" }, uniqueItems: true };
    const { ignored } = outputGrammar({ format: schemaFormat(schema, false), followsThinking: false });

    expect(ignored).toEqual(["schema.uniqueItems", "schema.items.format"]);
  });
});

/** The format compiles, or is refused with a 400. */
function settles(format: OutputFormat): void {
  let compiled;
  try {
    compiled = compile(format);
  } catch (error) {
    expect(error).toBeInstanceOf(RequestError);
    expect((error as RequestError).status).toBe(400);
    return;
  }
  drawAnswer(compiled, 1, 20);
}

const keywords =
  "type enum const properties required items prefixItems anyOf oneOf allOf $ref pattern format minLength maxLength minimum maximum multipleOf additionalProperties minItems maxItems not if $defs".split(
    " ",
  );
const brokenSchemas = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom<unknown>(
      "string",
      "object",
      "array",
      "#",
      "#/$defs/a",
      "#/properties",
      "date",
      "(",
      "[a-",
      "a{2,1}",
      "",
      null,
      true,
      false,
    ),
    fc.integer(),
    fc.double(),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...keywords), fc.string()), tie("value"), { maxKeys: 5 }),
  ),
})).value;

describe("fuzz", () => {
  it("broken schemas are compiled or refused", () => {
    fc.assert(
      fc.property(brokenSchemas, fc.boolean(), (schema, isStrict) => settles(schemaFormat(schema, isStrict))),
      { numRuns: 1_500 },
    );
  });

  it("a class may have as many characters as fit", () => {
    const spread = Array.from({ length: 20_000 }, (_, i) => String.fromCodePoint(0x3000 + 2 * i));
    settles(grammar(`root ::= [^${spread.join("")}]`)); // removing the characters one after another would take two minutes
  });

  it("any text is a regular expression or refused", () => {
    const pieces = fc.constantFrom(
      ..."ab()[]{}*+?|^$.\\-,0123456789",
      "\\d",
      "\\u{1F98A}",
      "\\ud83e",
      "(?:",
      "(?=",
      "(?!",
      "{2,5}",
      "[^",
      "é",
      "🦊",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 24 }), (parts) => settles(regex(parts.join("")))),
      { numRuns: 1_500 },
    );
  });

  it("any text is a grammar or refused", () => {
    const pieces = fc.constantFrom(
      "root",
      "x",
      "::=",
      '"a"',
      '"',
      "[a-z]",
      "[",
      "]",
      "(",
      ")",
      "|",
      "*",
      "+",
      "?",
      "{2,3}",
      "{",
      " ",
      "\n",
      "#",
      "\\",
      ".",
      "é",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 24 }), (parts) => settles(grammar(`root ::= ${parts.join(" ")}`))),
      { numRuns: 1_500 },
    );
  });
});
