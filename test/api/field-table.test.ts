// Proves each line of the table of fields, and that docs/api-fields.md says the same.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Field, openAiFields } from "./field-table.ts";
import { chatPath, type Envelope, makeApp, post, userSays } from "./make-app.ts";
import { messageFields, otherFields } from "./more-fields.ts";

type Table = Readonly<Record<string, Field>>;

const tables: readonly (readonly [title: string, fields: Table])[] = [
  ["Fields of OpenAI's request", openAiFields],
  ["Fields of other servers", otherFields],
  ["Inside of messages", messageFields],
];

/** What the service was asked, with the fresh seed of each request left out, and what came back, with ids and times left out. */
async function send(sent: object) {
  const { app, calls } = makeApp();
  const response = await app.request(chatPath, post(userSays("Hi", { seed: 1, ...sent })));
  const answer = await response.text();
  const [call] = calls;
  return {
    status: response.status,
    answer,
    stable: answer.replaceAll(/"(id|created)":("[^"]*"|\d+)/g, ""),
    asked: call && { chat: call.chat, options: call.options },
  };
}

describe.each(tables)("%s", (_, fields) => {
  test.each(Object.entries(fields).map(([name, field]) => ({ name, field, does: field.does })))(
    "$name is $does",
    async ({ name, field }) => {
      const plain = await send({});
      const result = await send(field.sent);
      if (field.does === "refused") {
        const { error } = JSON.parse(result.answer) as Envelope;
        expect(result.status).toBeGreaterThanOrEqual(400);
        expect(result.status).toBeLessThan(500);
        expect(error.param).toContain(name in messageFields ? "messages" : name);
        if (field.accepted) expect((await send(field.accepted)).stable).toBe(plain.stable);
        return;
      }
      expect(result.status).toBe(200);
      if (field.does === "ignored") {
        expect(result.asked).toEqual(plain.asked);
        expect(result.stable).toBe(plain.stable);
        return;
      }
      const { answer, ...asked } = field.effect;
      expect(result.asked).toMatchObject(asked);
      expect(result.answer).toMatch(answer ?? /./);
      const isSame = answer ? answer.test(plain.answer) : matches(plain.asked, asked);
      expect(isSame, "without the field there is no such effect").toBe(false);
    },
  );
});

test("the tests that are named exist", () => {
  const proofs = tables.flatMap(([, fields]) =>
    Object.values(fields).flatMap((field) => (field.does === "effective" && field.proof ? [field.proof] : [])),
  );
  for (const [file, title] of proofs) expect(readFileSync(file, "utf8"), `${file} has a test named ${title}`).toContain(`"${title}"`);
});

test("docs/api-fields.md says the same; npx vitest run test/api/field-table.test.ts -u writes it", async () => {
  await expect(toMarkdown()).toMatchFileSnapshot("../../docs/api-fields.md");
});

function matches(value: unknown, expected: object): boolean {
  try {
    expect(value).toMatchObject(expected);
    return true;
  } catch {
    return false;
  }
}

function toMarkdown(): string {
  const lines = [
    "# Fields of a chat request",
    "",
    "What `POST /v1/chat/completions` does with each field. This page is written by [a test](../test/api/field-table.test.ts) that proves each line;",
    "the last column names another test that shows the effect in answers.",
    "",
    "- **effective**: changes what the model is asked, how tokens are chosen, or what comes back. A value outside of the allowed ones is a 400",
    "  that names the field, what was expected and what came.",
    "- **ignored**: accepted with any value; nothing changes. So is every field that is not in these tables.",
    "- **refused**: a 400 that names the field, since to ignore it would be to answer something else. The values listed are accepted.",
  ];
  for (const [title, fields] of tables) {
    lines.push("", `## ${title}`, "", "| field | | values | note | shown by |", "|---|---|---|---|---|");
    for (const [name, field] of Object.entries(fields)) lines.push(toRow(name, field));
  }
  return `${lines.join("\n")}\n`;
}

function toRow(name: string, field: Field): string {
  const proof = field.does === "effective" && field.proof ? `[${title(field.proof[1])}](../${field.proof[0]})` : "";
  const cells = [`\`${name}\``, field.does, field.values, field.note ?? "", proof];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

/** A title without its placeholders. */
function title(pattern: string): string {
  return pattern
    .replaceAll(/[,:]? ?(stream|thinking)?:? ?(%[so#]|\$\w+)/g, " …")
    .replaceAll(/ +/g, " ")
    .trim();
}
