// GET /openapi.json: requests and answers of all routes in OpenAPI 3.1, generated from the schemas that validate requests.

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
  "Bodies are JSON in UTF-8 (`Content-Type: application/json`). Unknown fields are ignored, and the header `x-unknown-fields` names them. Null means the same as a missing field.",
  "Some rules cannot be stated in a schema, such as fields that must agree. Breaking one is a 400 that names the field, what was expected and what was received.",
  "Every answer has an `x-request-id`: the client's own if it sent one, otherwise a new one. A 429 or 503 says in `retry-after` when to try again.",
  "Errors have OpenAI's format. On `/v1/messages`, and for every request with the header `anthropic-version`, they have Anthropic's.",
].join("\n\n");

const securitySchemes = {
  bearer: { type: "http", scheme: "bearer", description: "The header that OpenAI's clients use." },
  xApiKey: { type: "apiKey", in: "header", name: "x-api-key", description: "The header that Anthropic's clients use." },
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
    // OpenAPI 3.1 cannot describe a stream. This is the schema of each event's data.
    ...(streams && { "text/event-stream": { schema: refTo(streams) } }),
  };
}

const errorMeanings: Readonly<Record<number, string>> = {
  400: "The request is invalid, or asks for something that this server does not support.",
  401: "The API key is missing or not valid.",
  404: "Not found, or the request names another model.",
  413: "The body is too large.",
  429: "Too many requests are waiting already.",
  500: "The server failed; its log has the reason under the x-request-id.",
  503: "The server is not ready, or is shutting down.",
  504: "The answer took longer than the server allows.",
};

function errorsOf({ request, errors = [], isGenerating }: Operation, needsKey: boolean): number[] {
  const statuses = [
    ...errors,
    ...(request ? [400, 404, 413, 429, 500, 503] : []), // 429: no memory for the body; 503: the server is shutting down
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
