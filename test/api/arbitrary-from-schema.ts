// Values that a JSON Schema of the API's document allows, and the same with a piece that is wrong.

import * as fc from "fast-check";
import type { JsonSchema } from "../../src/api/openapi/json-schema.ts";

type Schemas = Readonly<Record<string, JsonSchema>>;

/** At most so many of the fields that may be left out: the more there are, the more of them contradict each other. */
const maxOptionalFields = 4;
const mostItems = 3;
const mostCharacters = 12;

/** Values that `schema` allows; `schemas` are those it refers to. */
export function arbitraryOf(schema: JsonSchema, schemas: Schemas): fc.Arbitrary<unknown> {
  if (schema.$ref) return arbitraryOf(schemas[schema.$ref.split("/").at(-1)!]!, schemas);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((part) => arbitraryOf(part, schemas)));
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.const !== undefined) return fc.constant(schema.const);
  return fc.oneof(...[schema.type ?? "anything"].flat().map((type) => arbitraryOfType(type, schema, schemas)));
}

function arbitraryOfType(type: string, schema: JsonSchema, schemas: Schemas): fc.Arbitrary<unknown> {
  const { minimum, maximum, minLength = 0, maxLength = mostCharacters, minItems = 0, maxItems = mostItems } = schema as Limits;
  switch (type) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "integer":
      return fc.oneof(
        fc.integer({ min: minimum ?? -10, max: Math.min(maximum ?? Infinity, (minimum ?? 0) + 300) }),
        fc.constant(maximum ?? Number.MAX_SAFE_INTEGER),
      );
    case "number":
      return fc.double({ min: minimum ?? -1e9, max: maximum ?? 1e9, noNaN: true });
    case "string":
      if (typeof schema["pattern"] === "string") return fc.stringMatching(new RegExp(schema["pattern"]));
      return fc.string({ minLength, maxLength: Math.min(maxLength, minLength + mostCharacters), unit: "grapheme" });
    case "array":
      return fc.array(arbitraryOf(schema.items ?? {}, schemas), {
        minLength: minItems,
        maxLength: Math.min(maxItems, minItems + mostItems),
      });
    case "object":
      return objectOf(schema, schemas);
    default:
      return anything;
  }
}

type Limits = Readonly<Record<"minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems", number | undefined>>;

function objectOf({ properties, required = [], additionalProperties, propertyNames }: JsonSchema, schemas: Schemas): fc.Arbitrary<unknown> {
  if (!properties) {
    const { pattern = ".{1,8}" } = (propertyNames ?? {}) as { pattern?: string };
    const value = typeof additionalProperties === "object" ? arbitraryOf(additionalProperties, schemas) : fc.jsonValue({ maxDepth: 2 });
    return fc.dictionary(fc.stringMatching(new RegExp(pattern)), value, { maxKeys: mostItems });
  }
  const optional = Object.keys(properties).filter((name) => !required.includes(name));
  const arbitraries = Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, arbitraryOf(inner, schemas)]));
  const fieldsOf = (names: readonly string[]) => fc.record(Object.fromEntries(names.map((name) => [name, arbitraries[name]!])));
  return fc
    .subarray(optional, { maxLength: Math.min(maxOptionalFields, optional.length) })
    .chain((chosen) => fieldsOf([...required, ...chosen]));
}

/** What belongs nowhere in particular. */
export const anything: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, 1, -1, 0.5, 2 ** 53, 1e308, "", "text", "auto", "none", [], {}, "\u0000", "\u{d800}"),
  fc.string(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** The values with one piece replaced by something else, or left out. */
export function damaged(values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.tuple(values, fc.nat(), fc.oneof(anything, fc.constant(undefined))).map(([value, place, wrong]) => {
    const places = placesIn(value);
    return replaced(value, places[place % places.length]!, wrong);
  });
}

type Path = readonly (string | number)[];

function placesIn(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, inner]) => placesIn(inner, [...path, key]))];
}

function replaced(value: unknown, [key, ...rest]: Path, wrong: unknown): unknown {
  if (key === undefined) return wrong;
  if (Array.isArray(value)) return value.map((inner: unknown, index) => (index === key ? replaced(inner, rest, wrong) : inner));
  return Object.fromEntries(
    Object.entries(value as object).map(([name, inner]) => [name, name === key ? replaced(inner, rest, wrong) : (inner as unknown)]),
  );
}
