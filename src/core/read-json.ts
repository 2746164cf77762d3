// Reads and checks JSON files that others wrote. Errors are one line long.

import { existsSync } from "node:fs";
import { z } from "zod";
import { UserError } from "./errors.ts";
import { readText } from "./file-system.ts";

/**
 * The content of a JSON file as `schema` returns it. Messages of the schema complete "expected …".
 * Throws a UserError that names file, key, what was expected and what is there.
 */
export function readJson<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema> {
  const text = readText(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.replaceAll(/\s+/g, " "); // it may quote the text with its line breaks
    throw new UserError(`${path}: expected valid JSON, got an error (${reason}); restore the file`, { cause: error });
  }
  const result = schema.safeParse(value, { error: expectation });
  if (result.success) return result.data;
  const { path: keys, message } = result.error.issues[0]!;
  return rejectValue(path, keys.join("."), message, valueAt(value, keys));
}

/** The same, or undefined if there is no such file. */
export function readJsonIfThere<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema> | undefined {
  return existsSync(path) ? readJson(path, schema) : undefined;
}

/** Throws the UserError for a value that cannot be used. */
export function rejectValue(path: string, key: string, expected: string, got: unknown): never {
  const place = key === "" ? path : `${path}: ${key}`;
  throw new UserError(`${place}: expected ${expected}, got ${preview(got)}`);
}

export const count = z.int("a positive whole number").positive("a positive whole number");
/** A whole number from 1 to `most`, so that a file cannot decide how much memory its plan takes. */
export function countTo(most: number) {
  return count.max(most, `a whole number of at most ${most}`);
}
export const positive = z.number("a positive number").positive("a positive number");

const typeNames: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "true or false",
  number: "a number",
  object: "an object",
  record: "an object",
  string: "text",
  tuple: "a list",
};

/** What was expected, for schemas without a message of their own. */
function expectation(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "invalid_type") return typeNames[issue.expected];
  if (issue.code === "invalid_value") return issue.values.map((value) => JSON.stringify(value)).join(" or ");
  return undefined;
}

/** A key whose absence means the value that is supported. */
export function only<const Value extends string | number | boolean>(value: Value) {
  return z.literal(value, `${JSON.stringify(value)}, the only supported value`).nullish();
}

function valueAt(value: unknown, keys: readonly PropertyKey[]): unknown {
  return keys.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | null | undefined)?.[key], value);
}

function preview(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}
