// Requests made from the API's own document, sent to the whole program: answered or refused as it says.

import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { OpenApiDocument } from "../../src/api/openapi/document.ts";
import { checksOf, operationsOf } from "../api/api-document.ts";
import { arbitraryOf, damaged } from "../api/arbitrary-from-schema.ts";
import { post } from "../api/make-app.ts";
import { proveAnswer } from "../api/prove-answer.ts";
import { type RunningServer, startServer } from "./start-server.ts";

let server: RunningServer;
let document: OpenApiDocument;
beforeAll(async () => {
  server = await startServer(["--max-model-len", "512"]);
  document = (await (await fetch(`${server.url}/openapi.json`)).json()) as OpenApiDocument;
});
afterAll(async () => {
  await server?.stop();
});

/** Answers are kept short, by whatever name the route has for it. */
function shortened(body: unknown, fields: object): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  const limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"].filter((name) => name in fields);
  return { ...body, ...Object.fromEntries(limits.map((name) => [name, 4])), min_tokens: 0 };
}

test("every route keeps to the document with the real model", async () => {
  const statuses = new Set<number>();
  const check = checksOf(document, true);
  for (const operation of operationsOf(document)) {
    const { path, method, requestBody } = operation;
    const target = `${server.url}${path.replace("{id}", "ernie-vl-nano").replace("{name}", "x")}`;
    if (!requestBody) {
      statuses.add(await proveAnswer(await fetch(target, { method }), operation, check));
      continue;
    }
    const { schema, example } = requestBody.content["application/json"]!;
    expect(await proveAnswer(await fetch(target, post(example)), operation, check)).toBe(200);
    const { schemas } = document.components;
    const { properties = {} } = schemas[schema!.$ref!.split("/").at(-1)!]!;
    const valid = arbitraryOf(schema!, schemas).map((body) => shortened(body, properties));
    await fc.assert(
      fc.asyncProperty(fc.oneof(valid, damaged(valid)), async (body) => {
        statuses.add(await proveAnswer(await fetch(target, post(JSON.stringify(body) ?? "")), operation, check));
      }),
      { numRuns: 100 },
    );
  }
  expect(statuses).toContain(200);
  expect(statuses).toContain(400);
  await expect.poll(server.health).toMatchObject({ status: "ok", running: 0, waiting: 0 });
});
