// The output format of an answer, under OpenAI's field and those of vLLM, llama.cpp, SGLang and Hugging Face; and the format that a choice of tools implies.

import { z } from "zod";
import { countJsonValues } from "../chat/json-bounds.ts";
import { callableTools, maxCalls, type ToolUse } from "../core/chat.ts";
import { type CallsFormat, maxSchemaDepth, type OutputFormat, type TextFormat, type ToolSignature } from "../core/structured-output.ts";
import { contradiction, flag, oneOf, optional, text } from "./schema-fields.ts";

/** The grammar checks its content. Its depth is bounded here even where nothing is enforced, because a response repeats the schema. */
export const jsonSchema = z
  .custom<object>((value) => typeof value === "object" && value !== null && !Array.isArray(value), "a JSON Schema")
  .refine(
    (schema) => countJsonValues(schema, maxSchemaDepth + 1, Infinity) !== undefined, // + 1: the level of plain values
    `a JSON Schema of at most ${maxSchemaDepth} levels`,
  )
  .meta({ type: "object", description: "A JSON Schema." });
const maxTexts = 10_000;
const texts = z.array(text, "an array of strings").max(maxTexts, `at most ${maxTexts} strings`);

const responseFormat = z.object(
  {
    type: oneOf("text", "json_object", "json_schema"),
    json_schema: optional(z.object({ strict: optional(flag), schema: optional(jsonSchema) }, "an object with a schema")),
    schema: optional(jsonSchema, "llama.cpp's place for the schema. With `json_object`, the object follows it."),
    value: optional(jsonSchema, "Hugging Face's place for the schema of a `json_object`."),
  },
  "an object with a type",
);

const formNames = '"json", "json_object", "regex", "choice" and "grammar"';

/** The fields of a request that set the output format. */
export const formatFields = {
  response_format: optional(
    responseFormat,
    "The output format, enforced token by token. With tools, the answer is either tool calls or in this format.",
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
          issue.code === "unrecognized_keys" ? `an object with no fields but ${formNames}` : `an object with one of ${formNames}`,
      },
    ),
    "vLLM's field for the output format. Takes one of these.",
  ),
  guided_json: optional(jsonSchema, "The answer is JSON that follows this schema."),
  guided_regex: optional(text, "The whole answer matches this regular expression."),
  guided_choice: optional(texts, "The answer is one of these strings."),
  guided_grammar: optional(text, "The answer follows this grammar, in EBNF."),
  json_schema: optional(jsonSchema, "llama.cpp's name for `guided_json`."),
  grammar: optional(text, "llama.cpp's name for `guided_grammar`. An empty string means no grammar."),
  regex: optional(text, "SGLang's name for `guided_regex`. An empty string means no expression."),
  ebnf: optional(text, "SGLang's name for `guided_grammar`. An empty string means no grammar."),
};

const formatRequest = z.object({ ...formatFields, ignore_eos: optional(flag), tools: z.custom<readonly NamedTool[] | undefined>() });
type FormatRequest = z.infer<typeof formatRequest>;
type NamedTool = { readonly function: { readonly name: string } };

/** Models were trained to write JSON over several lines. */
const whitespace = "flexible";

/** A field and the format that it demands. */
type Demand = readonly [param: string, format: TextFormat];

/** The output format, or undefined when the answer is free. Throws RequestError when fields contradict each other. */
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
  if (first && second) throw contradiction(second[0], `no second output format beside ${first[0]}; send only one of them`);
  const format = toolUse ? toolFormat(toolUse, (name) => toolParam(name, request.tools ?? []), first?.[1]) : first?.[1];
  if (format && request.ignore_eos) throw contradiction("ignore_eos", "false with an output format, which decides where the answer ends");
  return format;
}

function fromResponseFormat(format: FormatRequest["response_format"]): Demand[] {
  if (!format || format.type === "text") return [];
  if (format.type === "json_object") {
    const { value, schema = value } = format; // Hugging Face sends a json_schema as a json_object with a value
    const param = schema === value ? "response_format.value" : "response_format.schema";
    const inSchema = schema && ({ type: "json_schema", schema, isStrict: false, whitespace, param } as const);
    return [["response_format", inSchema ?? { type: "json_object", whitespace }]];
  }
  const { schema: nested, strict: isStrict = false } = format.json_schema ?? {};
  const schema = nested ?? format.schema;
  const param = schema === nested ? "response_format.json_schema.schema" : "response_format.schema";
  if (!schema) throw contradiction(param, "a JSON Schema, but the field is missing");
  return [["response_format", { type: "json_schema", schema, isStrict, whitespace, param }]];
}

type Forms = Partial<NonNullable<FormatRequest["structured_outputs"]>>;

/** `paramOf` names the field that holds a format. */
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
 * The format of tool calls, which is enforced when a call is required, when a tool is `strict`, or when an answer without calls has a format
 * (`otherwise`). `paramOf` says where a tool's schema stands in the request.
 */
export function toolFormat(
  toolUse: ToolUse,
  paramOf: (name: string) => string,
  otherwise: TextFormat | undefined,
): CallsFormat | undefined {
  const isRequired = toolUse.choice !== "auto";
  if (!isRequired && !otherwise && !toolUse.tools.some((tool) => tool.strict)) return undefined;
  const tools = callableTools(toolUse).map(({ name, parameters, strict = false }): ToolSignature => {
    return { name, parameters, isStrict: strict, param: paramOf(name) };
  });
  return { type: "tool_calls", tools, isRequired, maxCalls: maxCalls(toolUse), ...(!isRequired && otherwise && { otherwise }) };
}
