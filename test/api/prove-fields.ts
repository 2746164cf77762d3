// What the tests of the tables of fields share: the proof of each line, and the lines as Markdown.

import { expect } from "vitest";
import type { Effect, Field } from "./field-table.ts";

export type Table = Readonly<Record<string, Field>>;

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

/** `send` adds fields to a request that is fine; `blamed` is what a refusal of the field names. */
export async function proveField(field: Field, blamed: string, send: (fields: object) => Promise<Outcome>): Promise<void> {
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

export function proofsOf(fields: Table): (readonly [file: string, title: string])[] {
  return Object.values(fields).flatMap((field) => (field.does === "effective" && field.proof ? [field.proof] : []));
}

/** A heading and a table. */
export function toSection(heading: string, fields: Table): string[] {
  const head = ["", `## ${heading}`, "", "| field | | values | note | shown by |", "|---|---|---|---|---|"];
  return [...head, ...Object.entries(fields).map(([name, field]) => toRow(name, field))];
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
