// GET /openapi.json: what the routes take and give, in OpenAPI 3.1, from the schemas that requests are checked by.

import type { JsonSchema } from "./json-schema.ts";
import { schemaPath } from "./json-schema.ts";
import { type Operation, operations } from "./operations.ts";
import { type AnswerName, allSchemas } from "./schemas.ts";
import { toPathTemplate } from "../route.ts";
import { programVersion } from "../../version.ts";

export type ListedRoute = { readonly method: string; readonly path: string; readonly needsKey: boolean };

type Content = Readonly<Record<string, { readonly schema?: JsonSchema; readonly example?: unknown }>>;
type Parameter = {
  readonly name: string;
  readonly in: "path" | "query";
  readonly required: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
};
export type DocumentedOperation = {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: true; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly headers?: object; readonly content?: Content }>>;
  readonly security: readonly object[];
};
export type OpenApiDocument = ReturnType<typeof toDocument>;

/** `asksForKey`: the server has API keys. */
export function toDocument(routes: readonly ListedRoute[], asksForKey: boolean) {
  const { InputItemsQuery: _, ...schemas } = allSchemas();
  const paths: Record<string, Record<string, DocumentedOperation>> = {};
  for (const { method, path, needsKey } of routes) {
    const operation = operations[`${method} ${path}`];
    if (operation) (paths[toPathTemplate(path)] ??= {})[method.toLowerCase()] = toDocumented(operation, path, needsKey && asksForKey);
  }
  return {
    openapi: "3.1.1" as const,
    info: {
      title: "ernie-vl",
      version: programVersion(),
      summary: "ERNIE-4.5-VL behind OpenAI's and Anthropic's APIs.",
      description: introduction,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    tags: [...new Set(Object.values(operations).map(({ group }) => group))].map((name) => ({ name })),
    paths,
    components: { schemas, securitySchemes },
  };
}

const introduction = [
  "Bodies are JSON in UTF-8 (`Content-Type: application/json`). Fields that are not listed are ignored; null is the same as nothing.",
  "Limits that a schema cannot say, such as fields that must agree, are a 400 that names the field, what was expected and what came.",
  "Every answer has an `x-request-id`: the client's own, if it sent one, or a new one. A 429 or 503 says in `retry-after` when to come back.",
  "Errors have OpenAI's form; on `/v1/messages`, and wherever a request has the header `anthropic-version`, Anthropic's.",
].join("\n\n");

const securitySchemes = {
  bearer: { type: "http", scheme: "bearer", description: "As OpenAI's clients send keys." },
  xApiKey: { type: "apiKey", in: "header", name: "x-api-key", description: "As Anthropic's clients do." },
};

function toDocumented(operation: Operation, path: string, needsKey: boolean): DocumentedOperation {
  const { id, group, summary, description, request, example } = operation;
  const parameters = [...pathParameters(operation), ...queryParameters(operation)];
  return {
    operationId: id,
    tags: [group],
    summary,
    ...(description !== undefined && { description }),
    ...(parameters.length > 0 && { parameters }),
    ...(request && { requestBody: { required: true, content: { "application/json": { schema: refTo(request), example } } } }),
    responses: {
      "200": { description: toDescription(operation), content: answerContent(operation) },
      ...(operation.isHealth && { "503": { description: "Not ready.", content: answerContent(operation) } }),
      ...Object.fromEntries(errorsOf(operation, needsKey).map((status) => [status, errorAnswer(status, path)])),
    },
    security: needsKey ? Object.keys(securitySchemes).map((name) => ({ [name]: [] })) : [],
  };
}

function pathParameters({ pathFields = {} }: Operation): Parameter[] {
  return Object.entries(pathFields).map(([name, description]) => {
    return { name, in: "path", required: true, description, schema: { type: "string" } };
  });
}

function queryParameters({ query }: Operation): Parameter[] {
  return Object.entries((query && allSchemas()[query]?.properties) ?? {}).map(([name, { description, ...schema }]) => {
    return { name, in: "query", required: false, ...(description !== undefined && { description }), schema };
  });
}

function toDescription({ streams, streamEnd }: Operation): string {
  return streams ? `The answer; with \`"stream": true\`, server-sent events. ${streamEnd}` : "The answer.";
}

function answerContent({ answers, streams }: Operation): Content {
  if (answers === "application/json") return { [answers]: { schema: { type: "object" } } };
  if (typeof answers === "string") return { [answers]: { schema: { type: "string" } } };
  return {
    "application/json": { schema: oneOf(answers) },
    // OpenAPI 3.1 has no word for a stream: this is the schema of the data of each event.
    ...(streams && { "text/event-stream": { schema: refTo(streams) } }),
  };
}

const errorMeanings: Readonly<Record<number, string>> = {
  400: "The request is wrong, or asks for what this server cannot do.",
  401: "No API key, or none of this server's.",
  404: "There is no such thing, or the request names another model.",
  413: "The body is too large.",
  429: "Too much is waiting already.",
  500: "The server failed; its log has the reason under the x-request-id.",
  503: "Not ready, or shutting down.",
  504: "The answer took longer than the server allows.",
};

function errorsOf({ request, errors = [], isGenerating }: Operation, needsKey: boolean): number[] {
  const statuses = [
    ...errors,
    ...(request ? [400, 404, 413, 429, 500, 503] : []), // a body may find no room, or the server shutting down
    ...(isGenerating ? [504] : []),
    ...(needsKey ? [401] : []),
  ];
  return [...new Set(statuses)].toSorted((one, other) => one - other);
}

function errorAnswer(status: number, path: string) {
  const forms: AnswerName[] = path.startsWith("/v1/messages") ? ["MessagesError"] : ["Error", "MessagesError"];
  const isTemporary = status === 429 || status === 503;
  return {
    description: errorMeanings[status]!,
    ...(isTemporary && { headers: { "retry-after": { description: "Seconds.", schema: { type: "integer" } } } }),
    content: { "application/json": { schema: oneOf(forms) } },
  };
}

function oneOf(names: readonly AnswerName[]): JsonSchema {
  return names.length === 1 ? refTo(names[0]!) : { anyOf: names.map(refTo) };
}

function refTo(name: string): JsonSchema {
  return { $ref: `${schemaPath}${name}` };
}
