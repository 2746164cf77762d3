// Fields of the API that this server does not support. Ignoring them would answer another question than the client's, so every
// value that asks for something is refused.

import { z } from "zod";
import { RequestError } from "../core/errors.ts";
import { describe } from "./schema-fields.ts";

type Rule = {
  /** Values that ask for nothing; null and a missing field always do. */
  readonly neutral: z.ZodType;
  /** The neutral value in words; undefined where there is none worth naming. */
  readonly only: string | undefined;
  readonly advice: string;
  readonly code?: string;
};

type Body = Readonly<Record<string, unknown>>;

export const leaveOut = "leave it out";

type Rules = Readonly<Record<string, Rule>>;

export const off = z.literal(false);
export const emptyList = z.array(z.unknown()).max(0);

/** Fields of vLLM, refused on every route that takes its other fields. */
export const decodingRules: Rules = {
  use_beam_search: only("false", off, "use n"),
  include_stop_str_in_output: only("false", off, "append the stop string, or read its tokens from return_token_ids"),
  bad_words: never("use logit_bias", emptyList),
  allowed_token_ids: never("use logit_bias or structured_outputs"),
  logits_processors: never(leaveOut, emptyList),
  truncate_prompt_tokens: never("shorten the prompt; /tokenize counts its tokens"),
  return_tokens_as_token_ids: only("false", off, "use return_token_ids"),
};

const chatRules: Rules = {
  ...decodingRules,
  best_of: only("1", z.literal(1), "use n"),
  functions: never("use tools", z.union([emptyList, z.strictObject({})])),
  function_call: only('"none" or "auto"', z.literal(["none", "auto"]), "use tool_choice"),
  modalities: only('["text"]', z.array(z.literal("text")).max(1), leaveOut),
  audio: never(leaveOut),
  suffix: never(leaveOut, z.literal("")),
  echo: only("false", off, leaveOut),
  web_search_options: never(leaveOut),
  moderation: never("use a separate service to moderate texts"),
  prompt_token_ids: never("send messages"),
  chat_template: never("the checkpoint's own template is used; chat_template_kwargs sets its variables"),
  documents: never("put their texts into a message", emptyList),
};

export const unsupportedInChats = toNeutralSchemas(chatRules);
export const unsupportedInTexts = toNeutralSchemas(decodingRules);

/** Throws RequestError when the body of a chat request, or one of its messages, asks for something that is not supported. */
export function refuseUnsupportedInChats(body: object): void {
  refuseFields(body, chatRules);
  const { messages } = body as Body;
  if (Array.isArray(messages)) messages.forEach(refuseFunctionMessage);
}

/** Throws RequestError for the first field that asks for something. */
export function refuseFields(body: object, rules: Rules): void {
  for (const [field, rule] of Object.entries(rules)) {
    const value = Object.hasOwn(body, field) ? ((body as Body)[field] ?? undefined) : undefined;
    if (value !== undefined && !rule.neutral.safeParse(value).success) throw unsupportedField(field, { ...rule, value });
  }
}

/** The values that the fields may have, for the API's own documents. */
export function toNeutralSchemas(rules: Rules): Readonly<Record<string, z.ZodType>> {
  return Object.fromEntries(
    Object.entries(rules).map(([field, { neutral, only: values, advice }]) => [
      field,
      neutral.nullish().describe(describeUnsupported(values, advice)),
    ]),
  );
}

/** Function messages and calls, which OpenAI's API had before tools. */
function refuseFunctionMessage(message: unknown, index: number): void {
  if (typeof message !== "object" || message === null) return;
  const { role, function_call: functionCall } = message as Body;
  const param = `messages[${index}]`;
  const roles = '"system", "developer", "user", "assistant" or "tool"';
  if (role === "function")
    throw unsupportedField(`${param}.role`, { only: roles, value: role, advice: "send the result as a tool message" });
  if (functionCall) throw unsupportedField(`${param}.function_call`, { only: undefined, value: functionCall, advice: "use tool_calls" });
}

type Unsupported = Omit<Rule, "neutral"> & { readonly value: unknown };

/** The 400 for a field that is not supported, or only with the values that `only` names. */
function unsupportedField(param: string, { only: values, value, advice, code = "unsupported_parameter" }: Unsupported): RequestError {
  const limit = values === undefined ? "this server does not support this field" : `this server supports only ${values}`;
  return new RequestError(`${param}: ${limit}, got ${describe(value)}; ${advice}`, { code, param });
}

/** The same for the API's own documents. */
function describeUnsupported(values: string | undefined, advice: string): string {
  return `${values === undefined ? "Not supported" : `Only ${values} is supported`}: ${advice}.`;
}

export function never(advice: string, neutral: z.ZodType = z.null()): Rule {
  return { neutral, only: undefined, advice };
}

export function only(values: string, neutral: z.ZodType, advice: string): Rule {
  return { neutral, only: values, advice };
}
