// Fields of the API that this version cannot honour. Ignoring them would change what the client asked for, so anything
// but a neutral value is refused.

import { z } from "zod";
import { RequestError } from "../core/errors.ts";
import { describe } from "./schema-fields.ts";

type Rule = {
  readonly neutral: z.ZodType;
  /** The neutral value in words: "expected …". */
  readonly expected: string;
  readonly advice: string;
};

type Body = Readonly<Record<string, unknown>>;

const leaveOut = "leave it out";

type Rules = Readonly<Record<string, Rule>>;

const off = z.literal(false);
const emptyList = z.array(z.unknown()).max(0);

/** Of vLLM, on every route that has its fields. */
const decodingRules: Rules = {
  use_beam_search: rule("false", "use n", off),
  include_stop_str_in_output: rule("false", "append the stop string, or take its tokens from return_token_ids", off),
  bad_words: rule("none", "use logit_bias", emptyList),
  allowed_token_ids: rule("nothing", "use logit_bias or structured_outputs"),
  logits_processors: rule("none", leaveOut, emptyList),
  truncate_prompt_tokens: rule("nothing", "shorten the prompt; /tokenize tells its length"),
  return_tokens_as_token_ids: rule("false", "use return_token_ids", off),
};

const chatRules: Rules = {
  ...decodingRules,
  best_of: rule("1", "use n", z.literal(1)),
  functions: rule("no functions", "use tools", z.union([emptyList, z.strictObject({})])),
  function_call: rule('"none" or "auto"', "use tool_choice", z.literal(["none", "auto"])),
  modalities: rule('["text"]', leaveOut, z.array(z.literal("text")).max(1)),
  audio: rule("nothing", leaveOut),
  suffix: rule("nothing", leaveOut, z.literal("")),
  echo: rule("false", leaveOut, z.literal(false)),
  web_search_options: rule("nothing", leaveOut),
  moderation: rule("nothing", "have the texts moderated elsewhere"),
  prompt_token_ids: rule("nothing", "send messages"),
  chat_template: rule("nothing", "the checkpoint's own template is used; chat_template_kwargs sets its variables"),
  documents: rule("none", "put their texts into a message", emptyList),
};

/** What these fields may hold, for the API's own documents. */
export const unsupportedInChats = toSchemas(chatRules);
export const unsupportedInTexts = toSchemas(decodingRules);

/** Throws RequestError when the body of a chat request, or a message of it, asks for something this version cannot do. */
export function refuseUnsupportedFields(body: object): void {
  const fields = body as Body;
  refuse(fields, chatRules);
  if (Array.isArray(fields.messages)) fields.messages.forEach(refuseFunctionMessage);
}

/** The same for a text to go on with. */
export function refuseUnsupportedDecoding(body: object): void {
  refuse(body as Body, decodingRules);
}

function refuse(fields: Body, rules: Rules): void {
  for (const [field, { neutral, expected, advice }] of Object.entries(rules)) {
    const value = Object.hasOwn(fields, field) ? (fields[field] ?? undefined) : undefined;
    if (value !== undefined && !neutral.safeParse(value).success) throw unsupported(field, expected, value, advice);
  }
}

function toSchemas(rules: Rules): Readonly<Record<string, z.ZodType>> {
  return Object.fromEntries(
    Object.entries(rules).map(([field, { neutral, expected, advice }]) => [
      field,
      neutral.nullish().describe(`${expected === "nothing" ? "Not supported" : `Only ${expected} is supported`}: ${advice}.`),
    ]),
  );
}

/** The form of calls before there were tools. */
function refuseFunctionMessage(message: unknown, index: number): void {
  if (typeof message !== "object" || message === null) return;
  const { role, function_call: functionCall } = message as Body;
  const param = `messages[${index}]`;
  const roles = '"system", "developer", "user", "assistant" or "tool"';
  if (role === "function") throw unsupported(`${param}.role`, roles, role, "send the result as a tool message");
  if (functionCall) throw unsupported(`${param}.function_call`, "nothing", functionCall, "use tool_calls");
}

function unsupported(param: string, expected: string, value: unknown, advice: string): RequestError {
  return new RequestError(`${param}: this version supports only ${expected}, got ${describe(value)}; ${advice}`, {
    code: "unsupported_parameter",
    param,
  });
}

function rule(expected: string, advice: string, neutral: z.ZodType = z.null()): Rule {
  return { expected, advice, neutral };
}
