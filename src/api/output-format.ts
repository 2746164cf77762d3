// What an answer must look like, under OpenAI's name and vLLM's two generations of names; and what a choice of tools demands.

import { z } from "zod";
import { countJsonValues } from "../chat/json-bounds.ts";
import type { ToolUse } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import { type CallsFormat, maxSchemaDepth, type OutputFormat, type TextFormat, type ToolSignature } from "../core/structured-output.ts";
import { flag, oneOf, optional, text } from "./schema-fields.ts";

/** Looked into by the grammar, which knows what it can enforce. Its depth counts even where nothing is enforced: a response holds it again. */
export const jsonSchema = z
  .custom<object>((value) => typeof value === "object" && value !== null && !Array.isArray(value), "a JSON Schema")
  .refine(
    (schema) => countJsonValues(schema, maxSchemaDepth + 1, Infinity) !== undefined, // and a level of plain values
    `a JSON Schema of at most ${maxSchemaDepth} levels`,
  )
  .meta({ type: "object", description: "A JSON Schema." });
const maxTexts = 10_000;
const texts = z.array(text, "an array of strings").max(maxTexts, `at most ${maxTexts} strings`);

const responseFormat = z.object(
  {
    type: oneOf("text", "json_object", "json_schema"),
    json_schema: optional(z.object({ strict: optional(flag), schema: optional(jsonSchema) }, "an object with a schema")),
    schema: optional(jsonSchema, "llama.cpp's place of the schema; beside `json_object`, the object follows it."),
  },
  "an object with a type",
);

const formNames = '"json", "json_object", "regex", "choice" and "grammar"';

/** The fields of a request that say it. */
export const formatFields = {
  response_format: optional(
    responseFormat,
    "The form of the answer, enforced token by token. Beside tools, the answer is calls or has this form.",
  ),
  structured_outputs: optional(
    z.strictObject(
      {
        json: optional(jsonSchema),
        json_object: optional(flag),
        regex: optional(text),
        choice: optional(texts),
        grammar: optional(text),
      },
      {
        error: (issue) =>
          issue.code === "unrecognized_keys" ? `an object of ${formNames}, nothing else` : `an object with one of ${formNames}`,
      },
    ),
    "vLLM's name for the form of the answer: one of these.",
  ),
  guided_json: optional(jsonSchema, "The answer is JSON that this schema allows."),
  guided_regex: optional(text, "The whole answer matches this regular expression."),
  guided_choice: optional(texts, "The answer is one of these texts."),
  guided_grammar: optional(text, "The answer is a sentence of this grammar, in EBNF."),
  json_schema: optional(jsonSchema, "llama.cpp's name of `guided_json`."),
  grammar: optional(text, "llama.cpp's name of `guided_grammar`; empty: none."),
  regex: optional(text, "SGLang's name of `guided_regex`; empty: none."),
  ebnf: optional(text, "SGLang's name of `guided_grammar`; empty: none."),
};

const formatRequest = z.object({ ...formatFields, ignore_eos: optional(flag), tools: z.custom<readonly NamedTool[] | undefined>() });
type FormatRequest = z.infer<typeof formatRequest>;
type NamedTool = { readonly function: { readonly name: string } };

/** Models are used to writing JSON over several lines. */
const whitespace = "flexible";

/** A field, and the form that it demands. */
type Demand = readonly [param: string, format: TextFormat];

/** Undefined when the answer may be anything. Throws RequestError when fields contradict each other. */
export function toOutputFormat(request: Partial<FormatRequest>, toolUse: ToolUse | undefined): OutputFormat | undefined {
  const { guided_json: json, guided_regex: regex, guided_choice: choice, guided_grammar: grammar, structured_outputs: forms } = request;
  const asked = [
    ...fromResponseFormat(request.response_format),
    ...fromForms({ json, regex, choice, grammar }, (form) => `guided_${form}`),
    ...fromForms(forms ?? {}, (form) => `structured_outputs.${form}`),
    ...fromForms({ json: request.json_schema, grammar: request.grammar || undefined }, (form) => (form === "json" ? "json_schema" : form)),
    ...fromForms({ regex: request.regex || undefined, grammar: request.ebnf || undefined }, (form) => (form === "grammar" ? "ebnf" : form)),
  ];
  const [first, second] = asked;
  if (first && second) throw contradiction(second[0], `nothing beside ${first[0]}`);
  const format = toolUse ? toolFormat(toolUse, (name) => toolParam(name, request.tools ?? []), first?.[1]) : first?.[1];
  if (format && request.ignore_eos) throw contradiction("ignore_eos", "false where the answer has a form, which says where it ends");
  return format;
}

function fromResponseFormat(format: FormatRequest["response_format"]): Demand[] {
  if (!format || format.type === "text") return [];
  if (format.type === "json_object") {
    const { schema } = format;
    const inSchema = schema && ({ type: "json_schema", schema, isStrict: false, whitespace, param: "response_format.schema" } as const);
    return [["response_format", inSchema ?? { type: "json_object", whitespace }]];
  }
  const { schema: nested, strict: isStrict = false } = format.json_schema ?? {};
  const schema = nested ?? format.schema;
  const param = schema === nested ? "response_format.json_schema.schema" : "response_format.schema";
  if (!schema) throw contradiction(param, "a JSON Schema, got nothing");
  return [["response_format", { type: "json_schema", schema, isStrict, whitespace, param }]];
}

type Forms = Partial<NonNullable<FormatRequest["structured_outputs"]>>;

/** `paramOf`: the field that holds the form. */
function fromForms(
  { json: schema, json_object: isObject, regex: pattern, choice, grammar: ebnf }: Forms,
  paramOf: (form: keyof Forms) => string,
): Demand[] {
  const demands: (TextFormat | false)[] = [
    schema !== undefined && { type: "json_schema", schema, isStrict: false, whitespace, param: paramOf("json") },
    isObject === true && { type: "json_object", whitespace },
    pattern !== undefined && { type: "regex", pattern, param: paramOf("regex") },
    choice !== undefined && { type: "choice", texts: choice, param: paramOf("choice") },
    ebnf !== undefined && { type: "grammar", ebnf, param: paramOf("grammar") },
  ];
  return demands.flatMap((format) => (format ? [["param" in format ? format.param : paramOf("json_object"), format] as const] : []));
}

function toolParam(name: string, declared: readonly NamedTool[]): string {
  return `tools[${declared.findIndex((tool) => tool.function.name === name)}].function.parameters`;
}

/**
 * Calls are held to their form where one is demanded, where a tool asks for it, or where an answer without calls has a form: `otherwise`.
 * `paramOf`: where a tool's schema stands in the request.
 */
export function toolFormat(
  { tools, choice, allowsParallelCalls }: ToolUse,
  paramOf: (name: string) => string,
  otherwise?: TextFormat,
): CallsFormat | undefined {
  const isRequired = choice !== "auto";
  if (!isRequired && !otherwise && !tools.some((tool) => tool.strict)) return undefined;
  const callable = typeof choice === "object" ? tools.filter(({ name }) => name === choice.name) : tools;
  const signatures = callable.map(({ name, parameters, strict = false }): ToolSignature => {
    return { name, parameters, isStrict: strict, param: paramOf(name) };
  });
  const maxCalls = typeof choice === "object" || !allowsParallelCalls ? 1 : Infinity;
  return { type: "tool_calls", tools: signatures, isRequired, maxCalls, ...(!isRequired && otherwise && { otherwise }) };
}

function contradiction(param: string, expected: string): RequestError {
  return new RequestError(`${param}: expected ${expected}`, { code: "invalid_value", param });
}
