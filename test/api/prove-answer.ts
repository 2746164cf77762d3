// What holds for any answer of the server: its status and its body are among those that the document names.

import { expect } from "vitest";
import type { Check, Operation } from "./api-document.ts";
import type { JsonSchema } from "../../src/api/openapi/json-schema.ts";
import { frames } from "./make-app.ts";

/** `check` closes objects: no key that the document does not have. Returns the status. */
export async function proveAnswer(answer: Response, operation: Operation, check: (schema: JsonSchema) => Check): Promise<number> {
  const text = await answer.text();
  const { method, path, responses } = operation;
  const name = `${method} ${path}: ${answer.status} ${text.slice(0, 300)}`;
  const documented = responses[String(answer.status)];
  expect(documented, name).toBeDefined();
  expect(answer.headers.get("x-request-id"), name).toBeTruthy();
  const type = answer.headers.get("content-type")!.split(";")[0]!;
  const { schema } = documented!.content![type] ?? documented!.content!["*/*"] ?? {};
  expect(schema, `${name}: ${type}`).toBeDefined();
  if (type === "application/json") expect(check(schema!)(JSON.parse(text)), name).toBeUndefined();
  if (type !== "text/event-stream") return answer.status;
  const data = frames(text.replaceAll(/^event: .*\n/gm, "")).filter((frame) => frame !== "[DONE]");
  expect(data.length, name).toBeGreaterThan(0);
  for (const frame of data) expect(check(schema!)(JSON.parse(frame)), frame).toBeUndefined();
  return answer.status;
}
