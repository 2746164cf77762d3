// Random JSON Schemas that use every keyword the grammar enforces.

import * as fc from "fast-check";
import { stringFormats } from "../../src/grammar/string-formats.ts";

export type Schema = boolean | { [keyword: string]: unknown };

const names = fc.oneof(
  fc.constantFrom(
    "a",
    "ab",
    "b",
    "name",
    "city",
    "größe",
    "名前",
    "with space",
    'quo"te',
    "back\\slash",
    "line\nbreak",
    "🦊",
    "constructor",
  ),
  fc.string({ maxLength: 6 }),
  fc.string({ unit: "grapheme", maxLength: 4 }),
);
const patterns = fc.constantFrom(
  "^[A-Z]{2}[0-9]{3}$",
  "foo",
  "^a",
  "b$",
  "^(red|green|blue)$",
  "^\\d{4}-\\d{2}$|^none$",
  "^[^a-z]+$",
  '^"\\\\\\n$',
  "^\\w+@\\w+\\.com$",
  "^[\\u4e00-\\u9fff]{1,4}$",
  "^.{2,5}$",
  "^\\S+(?:\\s\\S+){0,2}$",
  "^🦊*$",
  "^(?!.*aa)(?=.*[b-z])[a-z]{2,6}$",
  "(?!🦊|a)[^b]$",
);

function range(low: fc.Arbitrary<number>, min: string, max: string): fc.Arbitrary<Record<string, number>> {
  return fc.tuple(fc.option(low), fc.option(low)).map(([a, b]) => ({
    ...(a !== null && { [min]: b === null ? a : Math.min(a, b) }),
    ...(b !== null && { [max]: a === null ? b : Math.max(a, b) }),
  }));
}

const strings = fc.oneof(
  range(fc.nat(12), "minLength", "maxLength"),
  range(fc.nat(300), "minLength", "maxLength"),
  fc.record({ pattern: patterns }),
  fc.constantFrom(...stringFormats.keys()).map((format) => ({ format })),
  fc.record({ pattern: fc.constant("^[a-z0-9]+$"), minLength: fc.nat(4), maxLength: fc.integer({ min: 4, max: 9 }) }),
);
const decimals = fc.tuple(fc.integer({ min: -99_999, max: 99_999 }), fc.nat(5)).map(([digits, shift]) => Number(`${digits}e-${shift}`));
const numbers = fc.oneof(
  range(fc.integer({ min: -1200, max: 1200 }), "minimum", "maximum"),
  range(decimals, "minimum", "maximum"),
  fc
    .tuple(fc.constantFrom(0.01, 0.5, 2, 3, 7.5, 100), fc.integer({ min: -50, max: 50 }))
    .map(([multipleOf, minimum]) => ({ multipleOf, minimum, maximum: minimum + 15 })),
  decimals.map((low) => ({ exclusiveMinimum: low, exclusiveMaximum: Number((low + 3).toFixed(5)) })),
);
/** Without properties by which Ajv compares objects that have them: it calls them, and throws where they are no functions. */
const literal = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }).filter((value) => !/"(toString|valueOf)":/.test(JSON.stringify(value))),
  names,
);
const literals = fc.uniqueArray(literal, {
  minLength: 1,
  maxLength: 4,
  comparator: (a, b) => JSON.stringify(a) === JSON.stringify(b),
});

export const schemas: fc.Arbitrary<Schema> = fc
  .letrec<{ schema: Schema }>((tie) => ({
    schema: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      { weight: 3, arbitrary: strings.map((keywords) => ({ type: "string", ...keywords })) },
      { weight: 1, arbitrary: fc.constant<Schema>({ type: "string" }) },
      {
        weight: 2,
        arbitrary: numbers.chain((keywords) =>
          fc.constantFrom("number", "integer").map((type) => ({ type, ...wholeEnough(type, keywords) })),
        ),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom<Schema>(
          { type: "boolean" },
          { type: "null" },
          { type: ["string", "null"] },
          { type: ["integer", "boolean"] },
          true,
          {},
        ),
      },
      { weight: 1, arbitrary: literals.map((values) => ({ enum: values })) },
      { weight: 1, arbitrary: literal.map((value) => ({ const: value })) },
      { weight: 1, arbitrary: fc.constantFrom("#/$defs/tree", "#/$defs/list", "#/$defs/word").map(($ref) => ({ $ref })) },
      { weight: 1, arbitrary: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })) },
      { weight: 1, arbitrary: tie("schema").map((schema) => ({ allOf: [schema], description: "wrapped" })) },
      { weight: 1, arbitrary: oneOf(tie("schema")) },
      { weight: 3, arbitrary: arrays(tie("schema")) },
      { weight: 5, arbitrary: objects(tie("schema")) },
    ),
  }))
  .schema.map((schema) => (typeof schema === "boolean" ? schema : { ...schema, $defs: definitions }));

const definitions = {
  tree: {
    type: "object",
    properties: { value: { type: "integer" }, children: { type: "array", items: { $ref: "#/$defs/tree" }, maxItems: 3 } },
    required: ["value"],
  },
  list: {
    anyOf: [
      { type: "null" },
      {
        type: "object",
        properties: { head: { $ref: "#/$defs/word" }, tail: { $ref: "#/$defs/list" } },
        required: ["head", "tail"],
        additionalProperties: false,
      },
    ],
  },
  word: { type: "string", pattern: "^[a-zé]{1,8}$" },
};

function wholeEnough(type: string, keywords: Record<string, number>): Record<string, number> {
  if (type === "number") return keywords;
  return Object.fromEntries(
    Object.entries(keywords).map(([keyword, value]) => [
      keyword,
      /max/i.test(keyword) ? Math.ceil(value) + 1 : /min/i.test(keyword) ? Math.floor(value) - 1 : value,
    ]),
  );
}

function oneOf(schema: fc.Arbitrary<Schema>): fc.Arbitrary<Schema> {
  return fc.tuple(schema, schema).map(([a, b]) => ({
    oneOf: [a, b].map((value, i) => ({
      type: "object",
      properties: { kind: { const: `kind ${i}` }, value },
      required: ["kind"],
      additionalProperties: false,
    })),
  }));
}

function arrays(schema: fc.Arbitrary<Schema>): fc.Arbitrary<Schema> {
  return fc.record(
    {
      type: fc.constant("array"),
      items: schema,
      prefixItems: fc.array(schema, { minLength: 1, maxLength: 3 }),
      minItems: fc.nat(3),
      maxItems: fc.integer({ min: 3, max: 6 }),
    },
    { requiredKeys: ["type"] },
  );
}

function objects(schema: fc.Arbitrary<Schema>): fc.Arbitrary<Schema> {
  const properties = fc.uniqueArray(fc.tuple(names, schema), { maxLength: 5, selector: ([name]) => name });
  return fc
    .tuple(properties, fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), fc.option(fc.oneof(fc.boolean(), schema)))
    .map(([entries, isRequired, additional]) => ({
      type: "object",
      properties: Object.fromEntries(entries),
      ...(entries.length === 0 && { propertyNames: { type: "string", pattern: "^[a-z]" } }),
      required: entries.filter((_, i) => isRequired[i]).map(([name]) => name),
      ...(additional !== null && { additionalProperties: additional }),
    }));
}

const bounds = fc.oneof(fc.integer({ min: -20, max: 30 }), fc.constantFrom(0.5, -2.25, 0.001, 1e-7, 123_456.789));
const values = fc.constantFrom<unknown>("a", "ab", 0, 1, 2.5, null, true, [1], { a: 1 });
const memberNames = fc.constantFrom("a", "b", "ab", "ä", "x y");

/** Up to six random keywords per schema, whether or not they go together. */
export const keywordMixtures: fc.Arbitrary<Schema> = fc
  .tuple(...Array.from({ length: 3 }, () => mixture()))
  .map(([root, word, other]) => ({ ...(typeof root === "object" && root), $defs: { word, other } }));

function mixture(): fc.Arbitrary<Schema> {
  return fc.letrec<{ schema: Schema }>((tie) => ({
    schema: fc.oneof(
      { depthSize: "small", maxDepth: 4 },
      fc.constantFrom<Schema>(true, {}, { type: "null" }, { type: "string" }, { type: "integer" }, { not: {} }),
      fc
        .record({
          type: fc.constantFrom<unknown>(
            "string",
            "number",
            "integer",
            "boolean",
            "object",
            "array",
            ["string", "null"],
            ["object", "array"],
          ),
          enum: fc.array(values, { minLength: 1, maxLength: 4 }),
          const: values,
          minLength: fc.nat(4),
          maxLength: fc.nat(6),
          pattern: fc.constantFrom("^a", "b$", "^[ab]+$", "^(?!aa)[ab]*$", "c", "^.{2,3}$"),
          minimum: bounds,
          maximum: bounds,
          exclusiveMinimum: bounds,
          exclusiveMaximum: bounds,
          multipleOf: fc.constantFrom(1, 2, 0.5, 0.1),
          items: tie("schema"),
          prefixItems: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
          minItems: fc.nat(3),
          maxItems: fc.nat(4),
          properties: fc.dictionary(memberNames, tie("schema"), { maxKeys: 3 }),
          required: fc.uniqueArray(memberNames, { maxLength: 2 }),
          additionalProperties: tie("schema"),
          patternProperties: fc.dictionary(fc.constantFrom("^a", "b$", "ä"), tie("schema"), { minKeys: 1, maxKeys: 2 }),
          propertyNames: tie("schema"),
          minProperties: fc.nat(2),
          maxProperties: fc.nat(3),
          allOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
          anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }),
          oneOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
          $ref: fc.constantFrom("#/$defs/word", "#/$defs/other"),
        })
        .chain((all) => fc.shuffledSubarray(Object.entries(all)).map((some) => Object.fromEntries(some.slice(0, 6)))),
    ),
  })).schema;
}
