// What a schema says of the names of properties that it does not list.

import { isAssertion, isObject, type SchemaObject } from "./schema-shape.ts";

/** If one pattern is all that is said of names, all names are held to it. Then nothing is left to `additionalProperties`. */
export function withNamePattern(node: SchemaObject): SchemaObject {
  const { patternProperties, ...rest } = node;
  const [first, ...more] = isObject(patternProperties) ? Object.entries(patternProperties) : [];
  const isAlone = ["properties", "required", "propertyNames"].every((keyword) => node[keyword] === undefined);
  if (!first || more.length > 0 || !isAlone) return node;
  return { ...rest, propertyNames: { pattern: first[0] }, additionalProperties: first[1] };
}

/** Whether a schema of property names allows all of them. */
export function isAnyName(names: unknown): boolean {
  if (!isObject(names)) return names === true;
  return Object.entries(names).every(([keyword, value]) => !isAssertion(keyword) || (keyword === "type" && value === "string"));
}
