// Building blocks of request schemas. Each block states in words what it expects, and `parseFields` turns the first
// mistake into one sentence: which field, what was expected, what came.

import { z } from "zod";
import { RequestError } from "../core/errors.ts";

export function number(min: number, max: number) {
  const expected = `a number from ${min} to ${max}`;
  return z.number(expected).min(min, expected).max(max, expected);
}

export function integer(min: number, max?: number) {
  const expected = max === undefined ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`;
  return z
    .int(expected)
    .min(min, expected)
    .max(max ?? Number.MAX_SAFE_INTEGER, expected);
}

/** The most tokens that an answer may have. Some clients send −1 for no limit. */
export function tokenLimit(min: 0 | 1 = 1) {
  const expected = `an integer of at least ${min}, or -1 for no limit`;
  return z
    .int(expected)
    .min(-1, expected)
    .refine((value) => value === -1 || value >= min, expected)
    .transform((value) => (value === -1 ? undefined : value));
}

/** Token ids. Not declared as an array of integers: zod would take seconds for as many as a body can hold. */
export const tokenIds = z
  .custom<readonly number[]>((value) => Array.isArray(value), "an array of token ids")
  .superRefine((ids, context) => {
    const wrong = ids.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
    if (wrong >= 0) context.addIssue({ code: "custom", path: [wrong], message: "an integer of at least 0", continue: false });
  })
  .meta({ type: "array", items: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER } });

/** A string, or an array of at most `max` items, which error messages call `things`. */
export function textOrArray<T extends z.ZodType>(items: z.ZodArray<T>, max: number, things: string) {
  return z.union([text, items.max(max)], {
    error: ({ input }) => (Array.isArray(input) && input.length > max ? `at most ${max} ${things}` : `a string or an array of ${things}`),
  });
}

/** Limits `schema` to `max` entries. They are counted before `schema` checks any of them. */
export function fewEntries<T extends z.ZodType>(schema: T, max: number, message: string) {
  return z.preprocess((value, context) => {
    if (typeof value !== "object" || value === null || Object.keys(value).length <= max) return value;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  }, schema);
}

export const text = z.string("a string");
export const flag = z.boolean("true or false");

export function oneOf<const T extends readonly [string, ...string[]]>(...values: T) {
  return z.enum(values, `one of ${values.map((value) => JSON.stringify(value)).join(", ")}`);
}

/** A missing field and null mean the same. The description goes into the API's own documents. */
export function optional<T extends z.ZodType>(schema: T, description?: string) {
  const field = schema.nullish().transform((value) => value ?? undefined);
  return description === undefined ? field : field.describe(description);
}

type Issue = z.core.$ZodIssue;

/** The value as the schema has it. Throws RequestError for the first mistake. */
export function parseFields<T>(schema: z.ZodType<T>, value: object): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw schemaError(parsed.error, value);
  return parsed.data;
}

/** The 400 for a field that contradicts other fields. */
export function contradiction(param: string, expected: string): RequestError {
  return new RequestError(`${param}: expected ${expected}`, { code: "invalid_value", param });
}

function schemaError(error: z.ZodError, body: unknown): RequestError {
  const issue = deepest(error.issues[0]!);
  const value = valueAt(body, issue.path);
  const param = fieldPath(issue.path);
  const got = value === undefined ? "but the field is missing" : `got ${describe(value)}`;
  return new RequestError(`${param}: expected ${issue.message}, ${got}`, {
    code: value === undefined ? "missing_required_parameter" : "invalid_value",
    param,
  });
}

/** For a union, the mistake inside the alternative whose outer type fits: `content[2].text`, not "string or array". */
function deepest(issue: Issue): Issue {
  if (issue.code !== "invalid_union") return issue;
  const fitting = issue.errors.find((issues) => issues[0] && issues[0].path.length > 0 && issues[0].message)?.[0];
  if (!fitting) return issue;
  const inner = deepest(fitting);
  return { ...inner, path: [...issue.path, ...inner.path] };
}

/** Longer names are the client's own (keys of `logit_bias` or `metadata`), and may be as long as a body. */
const maxShownName = 100;

/** `["messages", 0, "content"]` → `messages[0].content`. Long names are cut. */
function fieldPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((joined, key) => {
    if (typeof key === "number") return `${joined}[${key}]`;
    const name = String(key);
    const shown = name.length > maxShownName ? `${name.slice(0, maxShownName)}…` : name;
    return joined === "" ? shown : `${joined}.${shown}`;
  }, "");
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], body);
}

/** A value in a few words. Long strings are cut. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : `an array of length ${value.length}`;
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
