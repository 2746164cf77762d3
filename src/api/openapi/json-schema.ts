// zod schemas → JSON Schema as a reader wants it: named schemas apart, "or null" in one line.

import { z } from "zod";

/** A JSON Schema, 2020-12, of what zod can say. */
export type JsonSchema = {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly [keyword: string]: unknown;
};

export const schemaPath = "#/components/schemas/";

/** By name. Where one of them is part of another, it is referred to by `#/components/schemas/NAME`. */
export function toJsonSchemas(schemas: Readonly<Record<string, z.ZodType>>): Record<string, JsonSchema> {
  const named = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) named.add(schema, { id });
  // What clients send is described before defaults and transformations. `custom` says by `meta` what it wants.
  const made = z.toJSONSchema(named, { uri: (id) => `${schemaPath}${id}`, io: "input", unrepresentable: "any" });
  return simplify(JSON.parse(JSON.stringify(made.schemas)) as JsonSchema) as Record<string, JsonSchema>;
}

function simplify(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(simplify);
  if (typeof value !== "object" || value === null) return value;
  const { $schema: _schema, $id: _id, oneOf, ...rest } = value as JsonSchema & { oneOf?: unknown };
  // Alternatives of which one names no type of its own would exclude each other.
  const node = oneOf === undefined ? rest : { ...rest, anyOf: oneOf };
  const simple = Object.fromEntries(Object.entries(node).map(([key, inner]) => [key, simplify(inner)])) as JsonSchema;
  return Array.isArray(simple.anyOf) ? joinAlternatives(simple, simple.anyOf.flatMap(alternatives)) : simple;
}

/** Of a union in a union. */
function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  return Object.keys(schema).length === 1 && schema.anyOf ? schema.anyOf : [schema];
}

/** `anyOf: [X, null]` → X, whose type may be null too. */
function joinAlternatives({ anyOf: _anyOf, ...outer }: JsonSchema, anyOf: readonly JsonSchema[]): JsonSchema {
  const [first, second] = anyOf;
  const isOrNull = anyOf.length === 2 && second!.type === "null" && typeof first!.type === "string";
  if (!isOrNull) return { ...outer, anyOf };
  const { const: only, enum: values = only === undefined ? undefined : [only], ...joined } = first!;
  return { ...joined, ...outer, type: [first!.type as string, "null"], ...(values && { enum: [...values, null] }) };
}
