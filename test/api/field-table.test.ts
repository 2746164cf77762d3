// Proves each line of the table of fields, and that docs/api-fields.md says the same.

import { expect, test } from "vitest";
import { openAiFields } from "./field-table.ts";
import { chatPath, type Envelope, makeApp, post, userSays } from "./make-app.ts";
import { messageFields, otherFields } from "./more-fields.ts";
import { type Outcome, testTables, type TitledTable, toSection } from "./prove-fields.ts";

const tables: readonly TitledTable[] = [
  ["Fields of OpenAI's request", openAiFields],
  ["Fields of other servers", otherFields],
  ["Inside of messages", messageFields],
];

/** The fresh seed of each request is left out. */
async function send(sent: object): Promise<Outcome> {
  const { app, calls } = makeApp();
  const response = await app.request(chatPath, post(userSays("Hi", { seed: 1, ...sent })));
  const answer = await response.text();
  const [call] = calls;
  return {
    status: response.status,
    answer,
    stable: answer.replaceAll(/"(id|created)":("[^"]*"|\d+)/g, ""),
    asked: call && { chat: call.chat, options: call.options },
    blamed: response.ok ? "" : ((JSON.parse(answer) as Envelope).error.param ?? ""),
  };
}

testTables(tables, send, (name) => (name in messageFields ? "messages" : name));

test("docs/api-fields.md says the same; npx vitest run test/api/field-table.test.ts -u writes it", async () => {
  await expect(toMarkdown()).toMatchFileSnapshot("../../docs/api-fields.md");
});

function toMarkdown(): string {
  const lines = [
    "# Fields of a chat request",
    "",
    "What `POST /v1/chat/completions` does with each field. [A test](../test/api/field-table.test.ts) writes this page and proves each line; the last",
    "column names another test that shows the effect on answers.",
    "",
    "- **effective**: changes the model's input, how tokens are chosen, or what is returned. Any other value than those listed is a 400 that names the",
    "  field, what was expected and what was received.",
    "- **ignored**: accepted with any value, without effect. So is every field that is not in these tables; the header `x-unknown-fields` of the answer",
    "  names it.",
    "- **refused**: a 400 that names the field, because ignoring it would answer another question. The values listed are accepted.",
  ];
  return `${[...lines, ...tables.flatMap(toSection)].join("\n")}\n`;
}
