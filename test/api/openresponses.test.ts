// openresponses' compliance cases against a scripted model; test/e2e/responses.test.ts runs them against nano.

import { expect, test } from "vitest";
import { helloEvents, makeApp, pngBase64, post } from "./make-app.ts";
import { check, complianceCases } from "./openresponses-cases.ts";
import { callEvents } from "./responses-app.ts";

const cases = complianceCases(`data:image/png;base64,${pngBase64}`);

test("all seven are there", () => {
  expect(cases).toHaveLength(7);
});

test.each(cases)("$name", async (testCase) => {
  const { app } = makeApp(({ chat }) => (chat.toolUse ? play(callEvents) : play(helloEvents)));

  await check(testCase, async (body) => app.request("/v1/responses", post({ model: "ernie", ...body })));
});

async function* play<T>(events: readonly T[]): AsyncGenerator<T> {
  yield* events;
}
