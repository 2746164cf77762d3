// What keywords beside `enum` and `const` say of the values in them.

import { isObject, type TypeName } from "./schema-shape.ts";

type Limit = (value: unknown, limit: unknown) => boolean;

const ofNumbers =
  (holds: (value: number, limit: number) => boolean): Limit =>
  (value, limit) =>
    typeof value !== "number" || holds(value, limit as number);

/** Lengths in code points. */
const ofStrings =
  (holds: (length: number, limit: number) => boolean): Limit =>
  (value, limit) =>
    typeof value !== "string" || holds([...value].length, limit as number);

/** Whether a value is valid, by keyword. Others are not enforced beside literals. */
export const literalLimits: ReadonlyMap<string, Limit> = new Map([
  ["type", (value, types) => [types].flat().some((type) => isOfType(value, type as TypeName))],
  ["minimum", ofNumbers((value, limit) => value >= limit)],
  ["maximum", ofNumbers((value, limit) => value <= limit)],
  ["exclusiveMinimum", ofNumbers((value, limit) => value > limit)],
  ["exclusiveMaximum", ofNumbers((value, limit) => value < limit)],
  ["minLength", ofStrings((length, limit) => length >= limit)],
  ["maxLength", ofStrings((length, limit) => length <= limit)],
]);

function isOfType(value: unknown, type: TypeName): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}
