// Fields of a body that this server does not know: a typo, or a field of another server. They are ignored, but not silently.

import type { Context } from "hono";
import type { AppEnv } from "./request-record.ts";

const maxToldFields = 8;
const maxNameLength = 40;
/** Shorter names that differ in one letter are often two fields: `top_a` is not `top_p`. */
const minLetters = 5;

/** Fields that many clients send and that would change no answer here. */
export const hints: readonly string[] = [
  "user",
  "store",
  "metadata",
  "safety_identifier",
  "client_metadata",
  "service_tier",
  "speed",
  "inference_geo",
  "prompt_cache_key",
  "prompt_cache_options",
  "prompt_cache_retention",
  "cache_control",
  "context_management",
  "compaction",
  "prediction",
  "verbosity",
  "stream_options",
  "diagnostics",
  "billing_policy",
  "fallbacks",
  "fallback_credit_token",
];

/** Names the unknown fields in the header `x-unknown-fields` and in the request's log line. `known`: the fields of the route. */
export function tellUnknownFields(c: Context<AppEnv>, body: object, known: readonly string[]): void {
  const accepted = new Set([...known, ...hints]);
  const unknown = Object.keys(body).filter((name) => !accepted.has(name));
  if (unknown.length === 0) return;
  const told = unknown.slice(0, maxToldFields).map((name) => {
    const shown = name.slice(0, maxNameLength).replaceAll(/[^\w.-]/g, "?");
    const meant = known.find((field) => isAlike(name, field));
    return meant === undefined ? shown : `${shown} (did you mean ${meant}?)`;
  });
  c.header("x-unknown-fields", [...told, ...(unknown.length > told.length ? ["..."] : [])].join(", "));
  c.get("record").unknownFields = told;
}

/** Whether the names differ only in case and separators, or, unless they are short, in one letter: added, missing, changed, or swapped with the next. */
function isAlike(name: string, field: string): boolean {
  const [short, long] = [toLetters(name), toLetters(field)].toSorted((one, other) => one.length - other.length) as [string, string];
  if (short === long) return true;
  if (short.length < minLetters || long.length > short.length + 1) return false;
  let same = 0;
  while (short[same] === long[same]) same++;
  const [rest, longer] = [short.slice(same), long.slice(same)];
  const swapped = rest.slice(1, 2) + rest.slice(0, 1) + rest.slice(2);
  return rest === longer.slice(1) || rest.slice(1) === longer.slice(1) || swapped === longer;
}

function toLetters(name: string): string {
  return name.slice(0, maxNameLength).toLowerCase().replaceAll(/[_-]/g, "");
}
