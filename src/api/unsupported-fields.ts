// Fields of the API that this version cannot honour. Ignoring them would change what the client asked for, so anything
// but a neutral value is refused.

import { RequestError } from "../core/errors.ts";
import { describe } from "./schema-fields.ts";

type Rule = {
  readonly isNeutral: (value: unknown, body: Body) => boolean;
  /** The neutral value in words: "expected …". */
  readonly expected: string;
  readonly advice: string;
};

type Body = Readonly<Record<string, unknown>>;

const leaveOut = "leave it out";

const rules: Readonly<Record<string, Rule>> = {
  best_of: rule("1", "use n", isOneOf(1)),
  prompt_logprobs: rule("0", leaveOut, isOneOf(0, false)),
  functions: rule("no functions", "use tools", isEmpty),
  function_call: rule('"none"', "use tool_choice", isOneOf("none")),
  modalities: rule('["text"]', leaveOut, (value) => Array.isArray(value) && value.every((item) => item === "text")),
  audio: rule("nothing", leaveOut),
  suffix: rule("nothing", leaveOut, isOneOf("")),
  echo: rule("false", leaveOut, isOneOf(false)),
  web_search_options: rule("nothing", leaveOut),
  moderation: rule("nothing", "have the texts moderated elsewhere"),
  prompt_token_ids: rule("nothing", "send messages"),
  add_generation_prompt: rule("true", leaveOut, isOneOf(true)),
  continue_final_message: rule("false", "ask for the continuation in a user message", isOneOf(false)),
};

/** Throws RequestError when the body, or a message of it, asks for something this version cannot do. */
export function refuseUnsupportedFields(body: object): void {
  const fields = body as Body;
  for (const [field, { isNeutral, expected, advice }] of Object.entries(rules)) {
    const value = Object.hasOwn(fields, field) ? (fields[field] ?? undefined) : undefined;
    if (value !== undefined && !isNeutral(value, fields)) throw unsupported(field, expected, value, advice);
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

function rule(expected: string, advice: string, isNeutral: Rule["isNeutral"] = () => false): Rule {
  return { expected, advice, isNeutral };
}

function isOneOf(...neutral: readonly unknown[]): Rule["isNeutral"] {
  return (value) => neutral.includes(value);
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}
