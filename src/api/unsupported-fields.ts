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

const rules: Readonly<Record<string, Rule>> = {
  best_of: rule("1", "use n", z.literal(1)),
  prompt_logprobs: rule("0", leaveOut, z.literal([0, false])),
  functions: rule("no functions", "use tools", z.union([z.array(z.unknown()).max(0), z.strictObject({})])),
  function_call: rule('"none"', "use tool_choice", z.literal("none")),
  modalities: rule('["text"]', leaveOut, z.array(z.literal("text"))),
  audio: rule("nothing", leaveOut),
  suffix: rule("nothing", leaveOut, z.literal("")),
  echo: rule("false", leaveOut, z.literal(false)),
  web_search_options: rule("nothing", leaveOut),
  moderation: rule("nothing", "have the texts moderated elsewhere"),
  prompt_token_ids: rule("nothing", "send messages"),
  add_generation_prompt: rule("true", leaveOut, z.literal(true)),
  continue_final_message: rule("false", "ask for the continuation in a user message", z.literal(false)),
};

/** What these fields may hold, for the API's own documents. */
export const unsupportedFields: Readonly<Record<string, z.ZodType>> = Object.fromEntries(
  Object.entries(rules).map(([field, { neutral, expected, advice }]) => [
    field,
    neutral.nullish().describe(`${expected === "nothing" ? "Not supported" : `Only ${expected} is supported`}: ${advice}.`),
  ]),
);

/** Throws RequestError when the body, or a message of it, asks for something this version cannot do. */
export function refuseUnsupportedFields(body: object): void {
  const fields = body as Body;
  for (const [field, { neutral, expected, advice }] of Object.entries(rules)) {
    const value = Object.hasOwn(fields, field) ? (fields[field] ?? undefined) : undefined;
    if (value !== undefined && !neutral.safeParse(value).success) throw unsupported(field, expected, value, advice);
  }
  if (Array.isArray(fields.messages)) fields.messages.forEach(refuseFunctionMessage);
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
