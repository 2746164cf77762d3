// Merges two schemas into one that demands both, for `allOf` and for keywords beside `anyOf` or `$ref`.

import { isDeepStrictEqual } from "node:util";
import { isAssertion, isObject, type SchemaObject, type TypeName } from "./schema-shape.ts";

/** Schemas whose conjunction cannot be written as one schema that this program reads. */
export class NotMergeable extends Error {}

const maxAlternatives = 1_000;

type Merge = (a: unknown, b: unknown) => unknown;

const larger: Merge = (a, b) => Math.max(a as number, b as number);
const smaller: Merge = (a, b) => Math.min(a as number, b as number);
const both: Merge = (a, b) => (isDeepStrictEqual(a, b) ? a : { allOf: [a, b] });
const merges: Readonly<Record<string, Merge>> = {
  type: (a, b) => typesIn(a).flatMap((name) => typesIn(b).flatMap((other) => commonType(name, other))),
  enum: (a, b) => (a as unknown[]).filter((value) => (b as unknown[]).some((other) => isDeepStrictEqual(value, other))),
  required: (a, b) => [...new Set([...(a as string[]), ...(b as string[])])],
  allOf: (a, b) => [...(a as unknown[]), ...(b as unknown[])],
  anyOf: (a, b) => pairs(a as unknown[], b as unknown[]),
  // A list stands for all of its patterns. No client's schema has one: keywords are checked before schemas are merged.
  pattern: (a, b) => [...new Set([a, b].flat())],
  items: both,
  patternProperties: (a) => a, // not enforced in merged schemas
  minimum: larger,
  exclusiveMinimum: larger,
  minLength: larger,
  minItems: larger,
  minProperties: larger,
  maximum: smaller,
  exclusiveMaximum: smaller,
  maxLength: smaller,
  maxItems: smaller,
  maxProperties: smaller,
};

/** Throws NotMergeable. */
export function mergeSchemas(a: SchemaObject | boolean, b: SchemaObject | boolean): SchemaObject | boolean {
  if (a === true || b === false) return b;
  if (b === true || a === false) return a;
  const [first, second] = [withEnum(a), withEnum(b)];
  refuseSplitItems(first, second);
  const merged: Record<string, unknown> = Object.fromEntries(Object.entries(first));
  for (const [keyword, value] of Object.entries(second)) {
    if (!Object.hasOwn(merged, keyword) || isDeepStrictEqual(merged[keyword], value)) merged[keyword] = value;
    else if (keyword === "properties" || keyword === "additionalProperties") continue; // below
    else if (Object.hasOwn(merges, keyword)) merged[keyword] = merges[keyword]!(merged[keyword], value);
    else if (isAssertion(keyword)) throw new NotMergeable(keyword);
  }
  return { ...merged, ...mergeProperties(first, second) };
}

/**
 * Each schema's `additionalProperties` speaks about its own properties only, so a property that one of them does not name must
 * satisfy that one's rule for all others as well.
 */
function mergeProperties(a: SchemaObject, b: SchemaObject): SchemaObject {
  if (!a["properties"] && !b["properties"] && a["additionalProperties"] === undefined && b["additionalProperties"] === undefined) return {};
  const [own, other] = [propertiesOf(a), propertiesOf(b)];
  const [ownRest, otherRest] = [a["additionalProperties"], b["additionalProperties"]];
  const properties: [string, unknown][] = [];
  for (const name of new Set([...own.keys(), ...other.keys()])) {
    const [left, right] = [own.has(name) ? own.get(name) : (ownRest ?? true), other.has(name) ? other.get(name) : (otherRest ?? true)];
    properties.push([name, left === true ? right : right === true ? left : both(left, right)]);
  }
  const rest = ownRest === undefined ? otherRest : otherRest === undefined ? ownRest : both(ownRest, otherRest);
  const isNamed = a["properties"] !== undefined || b["properties"] !== undefined;
  return { ...(isNamed && { properties: Object.fromEntries(properties) }), ...(rest !== undefined && { additionalProperties: rest }) };
}

function propertiesOf(schema: SchemaObject): ReadonlyMap<string, unknown> {
  const { properties } = schema;
  return new Map(isObject(properties) ? Object.entries(properties) : []);
}

/** `items` speaks of what `prefixItems` leaves over, so the two must come from one schema. */
function refuseSplitItems(a: SchemaObject, b: SchemaObject): void {
  const isArray = ({ items, prefixItems }: SchemaObject) => items !== undefined || prefixItems !== undefined;
  if (isArray(a) && isArray(b) && (a["prefixItems"] !== undefined || b["prefixItems"] !== undefined)) throw new NotMergeable("prefixItems");
}

/** A constant is an enumeration of one. */
function withEnum(schema: SchemaObject): SchemaObject {
  if (!Object.hasOwn(schema, "const")) return schema;
  const { const: value, ...rest } = schema;
  return mergeSchemas(rest, { enum: [value] }) as SchemaObject;
}

function pairs(a: readonly unknown[], b: readonly unknown[]): unknown[] {
  if (a.length * b.length > maxAlternatives) throw new NotMergeable("anyOf with many alternatives");
  return a.flatMap((one) => b.map((other) => ({ allOf: [one, other] })));
}

function typesIn(value: unknown): TypeName[] {
  return [value].flat() as TypeName[];
}

function commonType(a: TypeName, b: TypeName): TypeName[] {
  if (a === b) return [a];
  const isNumeric = (name: TypeName) => name === "integer" || name === "number";
  return isNumeric(a) && isNumeric(b) ? ["integer"] : [];
}
