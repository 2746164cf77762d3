import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import type { JsonSchema } from "../../src/api/openapi/json-schema.ts";
import { toPathTemplate } from "../../src/api/route.ts";
import { checksOf, operationsOf, readDocument } from "./api-document.ts";
import { type Field, openAiFields } from "./field-table.ts";
import { chatPath, makeApp, post } from "./make-app.ts";
import { blockFields, ownFields, requestFields } from "./messages-fields.ts";
import { messageFields, otherFields } from "./more-fields.ts";

const webFolder = "no such folder";
const document = await readDocument(makeApp([], { webFolder }).app);
const operations = operationsOf(document);
const check = checksOf(document, false);

describe("the document", () => {
  test("has every route of the app, and no other", () => {
    const { app } = makeApp([], { webFolder });
    const routes = app.routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => `${method} ${toPathTemplate(path)}`);

    expect(operations.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(routes.toSorted());
    expect(routes.length).toBeGreaterThan(20);
  });

  test("leaves out routes that a server does not have", async () => {
    const { paths } = await readDocument(makeApp([], { servesMetrics: false }).app);

    expect(paths).not.toHaveProperty("/metrics");
    expect(paths).not.toHaveProperty("/");
  });

  test("is OpenAPI 3.1 with operations that are named once, and describe their parameters and answers", () => {
    expect(document).toMatchObject({ openapi: "3.1.1", info: { title: "ernie-vl", version: expect.stringMatching(/^\d+\.\d+\.\d+$/) } });
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { path, parameters = [], responses, tags, summary, requestBody, method } of operations) {
      const named = parameters.filter((parameter) => parameter.in === "path").map(({ name }) => `{${name}}`);
      expect(path.match(/\{\w+\}/g) ?? []).toEqual(named);
      for (const parameter of parameters)
        expect(parameter).toMatchObject({ description: expect.stringMatching(/./), schema: { type: expect.anything() } });
      expect(document.tags.map(({ name }) => name)).toEqual(expect.arrayContaining([...tags]));
      expect(summary).toMatch(/./);
      expect(responses).toHaveProperty("200");
      for (const response of Object.values(responses))
        expect(response).toMatchObject({ description: expect.stringMatching(/./), content: expect.anything() });
      expect(requestBody !== undefined).toBe(method === "POST" && !path.endsWith("/cancel"));
    }
  });

  test("has valid schemas, whose references lead somewhere", () => {
    const ajv = new Ajv2020();
    for (const [name, schema] of Object.entries(document.components.schemas)) {
      expect(ajv.validateSchema(schema), `${name}: ${ajv.errorsText()}`).toBe(true);
      expect(check({ $ref: `#/components/schemas/${name}` })).toBeTypeOf("function");
    }
    const used = JSON.stringify(document).match(/#\/components\/schemas\/\w+/g) ?? [];
    const names = Object.keys(document.components.schemas);
    expect(new Set(used.map((reference) => reference.split("/").at(-1)!))).toEqual(new Set(names));
  });

  test("describes every field of a request", () => {
    for (const { requestBody, path } of operations) {
      if (!requestBody) continue;
      for (const [name, field] of fieldsOf(requestBody.content["application/json"]!.schema!)) {
        expect(field.description, `${path}: ${name}`).toMatch(/\.$/);
      }
    }
  });

  test.each([true, false])("asks for a key where the server does, with keys: %s", async (hasKeys) => {
    const { app } = makeApp([], { webFolder, apiKeys: hasKeys ? ["secret-key"] : [] });
    const text = await (await app.request("/openapi.json")).text();

    expect(text).not.toContain("secret-key");
    for (const { method, path, security } of operationsOf(JSON.parse(text) as typeof document)) {
      const answer = await app.request(path.replaceAll(/[{}]/g, ""), { method });
      expect(security.length > 0, `${method} ${path}`).toBe(answer.status === 401);
      for (const scheme of security.flatMap((one) => Object.keys(one))) expect(document.components.securitySchemes).toHaveProperty(scheme);
    }
  });
});

function fieldsOf(schema: JsonSchema): [string, JsonSchema][] {
  if (schema.$ref) return fieldsOf(document.components.schemas[schema.$ref.split("/").at(-1)!]!);
  return [...Object.entries(schema.properties ?? {}).filter(([, { type }]) => type !== "null"), ...(schema.anyOf ?? []).flatMap(fieldsOf)];
}

describe("its examples", () => {
  const withBodies = operations.filter(({ requestBody }) => requestBody);

  test.each(withBodies)("$method $path answers its own", async ({ path, requestBody, responses }) => {
    const { schema, example } = requestBody!.content["application/json"]!;

    const answer = await makeApp().app.request(path, post(example));

    expect(answer.status).toBe(200);
    expect(check(schema!)(example)).toBeUndefined();
    expect(check(responses["200"]!.content!["application/json"]!.schema!)(await answer.json())).toBeUndefined();
  });
});

describe("what the server takes is what the document allows", () => {
  const chat = { seed: 1, messages: [{ role: "user", content: "Hi" }] };
  const tables: readonly (readonly [path: string, base: object, fields: Readonly<Record<string, Field>>])[] = [
    [chatPath, chat, { ...openAiFields, ...otherFields, ...messageFields }],
    ["/v1/messages", { ...chat, max_tokens: 100 }, { ...requestFields, ...ownFields, ...blockFields }],
  ];
  const cases = tables.flatMap(([path, base, fields]) => {
    return Object.entries(fields).flatMap(([name, field]) => {
      const bodies = [field.sent, ...("accepted" in field && field.accepted ? [field.accepted] : [])];
      return bodies.map((sent) => ({ path, name, body: { ...base, ...sent } }));
    });
  });

  test.each(cases)("$path: $name", async ({ path, body }) => {
    const schema = document.paths[path]!["post"]!.requestBody!.content["application/json"]!.schema!;

    const { status } = await makeApp().app.request(path, post(body));

    const wrong = check(schema)(body);
    if (status === 200) expect(wrong).toBeUndefined();
    else if (wrong !== undefined) expect(status).toBe(400);
  });
});
