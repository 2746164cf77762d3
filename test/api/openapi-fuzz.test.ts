// Every route, with requests made from the document of the API: answered or refused as it says, never a failure of the server. A new
// field is tried without a word here.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { arbitraryOf, anything, damaged } from "./arbitrary-from-schema.ts";
import { checksOf, operationsOf, readDocument } from "./api-document.ts";
import { helloEvents, makeApp, post, type Script, started, thinkingEvents, usage } from "./make-app.ts";
import { proveAnswer } from "./prove-answer.ts";
import { callEvents } from "./responses-app.ts";

const webFolder = mkdtempSync(join(tmpdir(), "web-"));
afterAll(() => rmSync(webFolder, { recursive: true }));
mkdirSync(join(webFolder, "assets"));
writeFileSync(join(webFolder, "index.html"), "<!doctype html>");
writeFileSync(join(webFolder, "assets", "ernie"), "x");

const document = await readDocument(makeApp([], { webFolder }).app);
const { schemas } = document.components;
const [allows, isClosed] = [checksOf(document, false), checksOf(document, true)];
const operations = operationsOf(document);

const chosen = { text: "Hi", bytes: [72, 105], logprob: -Infinity };
const detailedEvents: Script = [
  { ...started, promptTokenIds: [1, 2] },
  { type: "logprobs", chosen, top: [chosen] },
  { type: "tokens", tokenIds: [5] },
  { type: "content", text: "Hi" },
  { type: "finished", reason: "length", usage },
] as Script;
const textApps = [helloEvents, thinkingEvents, detailedEvents].map((script) => makeApp(script).app);
const apps = [...textApps, makeApp(callEvents).app];
const dialects = fc.constantFrom({}, { "anthropic-version": "2023-06-01" });

describe.each(operations.filter(({ requestBody }) => requestBody))("$method $path", (operation) => {
  const { schema } = operation.requestBody!.content["application/json"]!;
  const wrongOf = allows(schema!);
  const valid = arbitraryOf(schema!, schemas);
  const answering = operation.path === "/v1/completions" ? textApps : apps; // no call ends a text

  const send = async (body: unknown, app: (typeof apps)[number], headers: Record<string, string>) => {
    return proveAnswer(await app.request(operation.path, post(JSON.stringify(body) ?? "", headers)), operation, isClosed);
  };

  test("bodies that the document allows are answered, or refused for what it cannot say", async () => {
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(valid, fc.constantFrom(...answering), dialects, async (body, app, headers) => {
        const wrong = wrongOf(body);
        if (wrong !== undefined) expect.fail(`${wrong}: ${JSON.stringify(body)}`);
        statuses.add(await send(body, app, headers));
      }),
      { numRuns: 1000 },
    );
    expect(statuses).toContain(200);
  });

  test("damaged bodies are answered only where the document allows them", async () => {
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(damaged(valid), dialects, async (body, headers) => {
        const status = await send(body, apps[0]!, headers);
        statuses.add(status);
        const seen: unknown = JSON.parse(JSON.stringify(body) ?? "null");
        if (status === 200) expect(wrongOf(seen), JSON.stringify(seen)).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
    expect(statuses).toContain(400);
  });
});

describe.each(operations.filter(({ requestBody }) => !requestBody))("$method $path", (operation) => {
  const { app } = makeApp(helloEvents, { webFolder });
  const { method, path, parameters = [] } = operation;
  const readId = async () => {
    if (!path.startsWith("/v1/responses")) return "ernie";
    return ((await (await app.request("/v1/responses", post({ input: "Hi" }))).json()) as { id: string }).id;
  };
  const queries = fc.record(
    Object.fromEntries(
      parameters
        .filter(({ in: place }) => place === "query")
        .map(({ name, schema }) => [name, fc.oneof(arbitraryOf(schema, schemas), anything)]),
    ),
    { requiredKeys: [] },
  );
  const names = fc.oneof(
    fc.constant(undefined),
    fc.string({ minLength: 1 }).filter((name) => name !== "."), // a URL's dot is gone before anybody reads it, and the route is another
    fc.constantFrom("..", "%2e%2e%2f", "a/b", "\u0000", "__proto__"),
  );

  const isVaried = path.includes("{") || parameters.length > 0; // other requests differ by their headers only

  test("is answered as documented, whatever stands in path and query", async () => {
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(names, queries, dialects, async (name, query, headers) => {
        const place = encodeURIComponent(wellFormed(name ?? (await readId())));
        const search = new URLSearchParams(
          Object.entries(query).map(([key, value]): [string, string] => [
            key,
            typeof value === "string" ? wellFormed(value) : JSON.stringify(value),
          ]),
        );
        const target = `${path.replace(/\{\w+\}/, place)}?${search}`;
        const normal = new URL(target, "http://x").pathname;
        if (normal.split("/").length !== path.split("/").length) return; // a path with dots is another path
        statuses.add(await proveAnswer(await app.request(target, { method, headers }), operation, isClosed));
      }),
      { numRuns: isVaried ? 1000 : 10 },
    );
    expect(statuses.size).toBeGreaterThan(0);
    for (const status of statuses) expect(status).toBeLessThan(500);
  });
});

function wellFormed(text: string): string {
  return Buffer.from(text).toString();
}
