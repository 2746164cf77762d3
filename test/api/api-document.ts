// The document of the API as a test reads it: checks of values against its schemas, closed so that an answer has no key that is not in it.

import { Ajv2020 } from "ajv/dist/2020.js";
import ajvFormats from "ajv-formats";
import type { OpenApiDocument } from "../../src/api/openapi/document.ts";
import type { JsonSchema } from "../../src/api/openapi/json-schema.ts";
import { makeApp } from "./make-app.ts";

export type Operation = { readonly method: string; readonly path: string } & OpenApiDocument["paths"][string][string];

export async function readDocument(app = makeApp().app): Promise<OpenApiDocument> {
  return (await (await app.request("/openapi.json")).json()) as OpenApiDocument;
}

export function operationsOf(document: OpenApiDocument): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  );
}

/** Says what is wrong with a value, or undefined. */
export type Check = (value: unknown) => string | undefined;

/** Checks of values against schemas of the document. `isClosed`: objects have no other keys. */
export function checksOf(document: OpenApiDocument, isClosed: boolean): (schema: JsonSchema) => Check {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictTypes: false, strictRequired: false });
  (ajvFormats as unknown as (ajv: Ajv2020) => void)(ajv);
  const components = isClosed ? close(document.components) : document.components;
  ajv.addVocabulary(["components"]);
  ajv.addSchema({ $id: "document", components });
  const made = new Map<JsonSchema, Check>();
  return (schema) => {
    const known = made.get(schema);
    if (known) return known;
    const text = JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"document#/');
    const validate = ajv.compile(JSON.parse(text) as object);
    const check: Check = (value) => (validate(value) ? undefined : ajv.errorsText(validate.errors));
    made.set(schema, check);
    return check;
  };
}

function close(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(close);
  if (typeof value !== "object" || value === null) return value;
  const closed = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, close(inner)]));
  const isObjectSchema = closed["type"] === "object" && closed["properties"] !== undefined && closed["additionalProperties"] === undefined;
  return isObjectSchema ? { ...closed, additionalProperties: false } : closed;
}
