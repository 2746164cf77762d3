// What holds for any answer of the server: its status and its body are among those that the document names.

import { expect } from "vitest";
import type { Check, Operation } from "./api-document.ts";
import type { JsonSchema } from "../../src/api/openapi/json-schema.ts";
import { frames } from "./make-app.ts";

/** `check` closes objects: no key that the document does not have. Returns the status. */
export async function proveAnswer(answer: Response, operation: Operation, check: (schema: JsonSchema) => Check): Promise<number> {
  const text = await answer.text();
  const { method, path, responses } = operation;
  const documented = responses[String(answer.status)];
  const type = answer.headers.get("content-type")!.split(";")[0]!;
  const { schema } = documented?.content![type] ?? documented?.content!["*/*"] ?? {};
  // A call of `expect` for each frame of 30,000 answers would take longer than the answers.
  const wrong = schema ? wrongWith(text, type, check(schema)) : `${type} is not documented`;
  const id = answer.headers.get("x-request-id");
  if (wrong !== undefined || !id) expect.fail(`${method} ${path}: ${answer.status}, request ${id}: ${wrong} ${text.slice(0, 300)}`);
  return answer.status;
}

function wrongWith(text: string, type: string, wrongOf: Check): string | undefined {
  if (type === "application/json") return wrongOf(JSON.parse(text));
  if (type !== "text/event-stream") return undefined;
  const data = frames(text.replaceAll(/^event: .*\n/gm, "")).filter((frame) => frame !== "[DONE]");
  if (data.length === 0) return "no event";
  return data.map((frame) => wrongOf(JSON.parse(frame))).find((wrong) => wrong !== undefined);
}
