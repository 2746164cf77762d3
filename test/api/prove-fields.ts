// What the tests of the tables of fields share: the proof of each line, and the lines as Markdown.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Effect, Field } from "./field-table.ts";

export type TitledTable = readonly [title: string, fields: Readonly<Record<string, Field>>];

/** What came back, and what the service was asked. */
export type Outcome = {
  readonly status: number;
  readonly answer: string;
  /** The answer without ids and times. */
  readonly stable: string;
  readonly asked: Omit<Effect, "answer"> | undefined;
  /** Of a refusal: the field that it blames. */
  readonly blamed: string;
};

/** `send` adds fields to a request that is fine; `blamedOf` is what a refusal of a field names. */
export function testTables(
  tables: readonly TitledTable[],
  send: (fields: object) => Promise<Outcome>,
  blamedOf: (name: string) => string,
): void {
  describe.each(tables)("%s", (_, fields) => {
    test.each(Object.entries(fields).map(([name, field]) => ({ name, field, does: field.does })))(
      "$name is $does",
      async ({ name, field }) => {
        await proveField(field, blamedOf(name), send);
      },
    );
  });

  test("the tests that are named exist", () => {
    const proofs = tables.flatMap(([, fields]) => Object.values(fields).flatMap(proofOf));
    for (const [file, title] of proofs) expect(readFileSync(file, "utf8"), `${file} has a test named ${title}`).toContain(`"${title}"`);
  });
}

async function proveField(field: Field, blamed: string, send: (fields: object) => Promise<Outcome>): Promise<void> {
  const plain = await send({});
  const result = await send(field.sent);
  if (field.does === "refused") {
    expect(result.status).toBeGreaterThanOrEqual(400);
    expect(result.status).toBeLessThan(500);
    expect(result.blamed).toContain(blamed);
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
}

function matches(value: unknown, expected: object): boolean {
  try {
    expect(value).toMatchObject(expected);
    return true;
  } catch {
    return false;
  }
}

function proofOf(field: Field): (readonly [file: string, title: string])[] {
  return field.does === "effective" && field.proof ? [field.proof] : [];
}

/** A heading and a table. */
export function toSection([heading, fields]: TitledTable): string[] {
  const head = ["", `## ${heading}`, "", "| field | | values | note | shown by |", "|---|---|---|---|---|"];
  return [...head, ...Object.entries(fields).map(([name, field]) => toRow(name, field))];
}

function toRow(name: string, field: Field): string {
  const [proof = ""] = proofOf(field).map(([file, pattern]) => `[${title(pattern)}](../${file})`);
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
