// Checks a JSON Schema before it is translated: limits of size, and the type of each keyword's value.

import { RequestError } from "../core/errors.ts";
import { maxSchemaDepth } from "../core/structured-output.ts";

export type SchemaObject = { readonly [keyword: string]: unknown };

export const maxSchemaBytes = 65_536;
const maxEnumValues = 2_000;
const maxProperties = 2_000;
const maxNameLength = 256;

/** Keywords that say nothing about which values are valid. */
const annotations = new Set(
  "title description default examples example $comment $schema $id $defs definitions deprecated readOnly writeOnly discriminator".split(
    " ",
  ),
);

type Kind = { readonly expected: string; readonly fits: (value: unknown) => boolean };

const count: Kind = { expected: "a whole number of at least 0", fits: (value) => Number.isSafeInteger(value) && (value as number) >= 0 };
const number: Kind = { expected: "a number", fits: Number.isFinite };
const positive: Kind = { expected: "a number above 0", fits: (value) => Number.isFinite(value) && (value as number) > 0 };
const string: Kind = { expected: "a string", fits: (value) => typeof value === "string" };
const schema: Kind = { expected: "a schema (an object, true or false)", fits: isSchema };
const schemas: Kind = {
  expected: "a list of at least one schema",
  fits: (value) => isList(value) && value.length > 0 && value.every(isSchema),
};
const names: Kind = { expected: "a list of strings", fits: (value) => isList(value) && value.every((name) => typeof name === "string") };
const properties: Kind = {
  expected: "an object of schemas by name",
  fits: (value) => isObject(value) && Object.values(value).every(isSchema),
};
const types = ["string", "number", "integer", "boolean", "object", "array", "null"] as const;
export type TypeName = (typeof types)[number];
const type: Kind = {
  expected: `one of ${types.map((name) => JSON.stringify(name)).join(", ")}, or a list of them`,
  fits: (value) => [value].flat().every((name) => (types as readonly unknown[]).includes(name)) && [value].flat().length > 0,
};

export const stringKeywords = ["minLength", "maxLength", "pattern", "format"] as const;
export const numberKeywords = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"] as const;
export const arrayKeywords = ["items", "prefixItems", "minItems", "maxItems"] as const;
export const objectKeywords = [
  "properties",
  "required",
  "patternProperties",
  "additionalProperties",
  "propertyNames",
  "minProperties",
  "maxProperties",
] as const;

const kinds: ReadonlyMap<string, Kind> = new Map(
  Object.entries({
    type,
    enum: { expected: "a list of at least one value", fits: (value: unknown) => isList(value) && value.length > 0 },
    const: { expected: "a value", fits: () => true },
    $ref: string,
    anyOf: schemas,
    oneOf: schemas,
    allOf: schemas,
    properties,
    required: names,
    patternProperties: properties,
    additionalProperties: schema,
    propertyNames: schema,
    minProperties: count,
    maxProperties: count,
    items: schema,
    prefixItems: schemas,
    minItems: count,
    maxItems: count,
    minLength: count,
    maxLength: count,
    pattern: string,
    format: string,
    minimum: number,
    maximum: number,
    exclusiveMinimum: number,
    exclusiveMaximum: number,
    multipleOf: positive,
  }),
);

/** Throws RequestError if the value is not a schema or is too large. */
export function checkSchemaSize(schema: unknown, param: string): void {
  if (!isSchema(schema)) fail(param, "expected a schema (an object, true or false)", inJson(schema));
  let [enumValues, propertyCount] = [0, 0];
  const pending: { value: unknown; depth: number }[] = [{ value: schema, depth: 0 }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { value, depth } = next;
    if (typeof value !== "object" || value === null) continue;
    if (depth > maxSchemaDepth) fail(param, `expected at most ${maxSchemaDepth} levels of nesting`, "more");
    if (isObject(value)) {
      if (isList(value["enum"])) enumValues += value["enum"].length;
      if (isObject(value["properties"])) {
        const names = Object.keys(value["properties"]);
        propertyCount += names.length;
        const long = names.find(({ length }) => length > maxNameLength);
        if (long) fail(param, `expected property names of at most ${maxNameLength} characters`, `${long.length} characters`);
      }
    }
    for (const part of Object.values(value)) pending.push({ value: part, depth: depth + 1 });
  }
  // Only after the depth check: JSON.stringify uses stack for each level.
  const bytes = Buffer.byteLength(JSON.stringify(schema));
  if (bytes > maxSchemaBytes) fail(param, `expected a schema of at most ${maxSchemaBytes} bytes`, `${bytes} bytes`);
  if (enumValues > maxEnumValues) fail(param, `expected at most ${maxEnumValues} enum values`, `${enumValues}`);
  if (propertyCount > maxProperties) fail(param, `expected at most ${maxProperties} properties`, `${propertyCount}`);
}

/** Checks the values of all keywords of one schema; returns the keywords that are not supported. Throws RequestError. */
export function checkKeywords(node: SchemaObject, path: string): string[] {
  const unsupported: string[] = [];
  for (const [keyword, value] of Object.entries(node)) {
    const kind = kinds.get(keyword);
    if (kind && !kind.fits(value)) fail(`${path}.${keyword}`, `expected ${kind.expected}`, inJson(value));
    const isSaid = keyword === "contentEncoding" && node["pattern"] !== undefined; // by the pattern, as `format` beside one
    const saysNothing = isSaid || annotations.has(keyword) || keyword.startsWith("x-") || (keyword === "uniqueItems" && value === false);
    if (!kind && !saysNothing) unsupported.push(keyword);
  }
  return unsupported;
}

/** Whether a keyword limits what is valid, and is supported. */
export function isAssertion(keyword: string): boolean {
  return kinds.has(keyword);
}

/** `{"not": {}}`, which no value satisfies: how generators write `false`. */
export function isFalse({ not }: SchemaObject): boolean {
  return not === true || (isObject(not) && Object.keys(not).length === 0);
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

function isSchema(value: unknown): boolean {
  return typeof value === "boolean" || isObject(value);
}

function inJson(value: unknown): string {
  const json = JSON.stringify(value);
  return json.length > 80 ? `${json.slice(0, 79)}…` : json;
}

function fail(param: string, expected: string, got: string): never {
  throw new RequestError(`${param}: ${expected}, got ${got}`, { param });
}
