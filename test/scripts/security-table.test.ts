// The tables of docs/security.md and docs/failures.md stand or fall with their tests.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(`${root}${path}`, "utf8");

/** Rows that name tests: their first cell, and the tests that show what happens here. */
function rowsOf(page: string): { id: string; tests: string }[] {
  return [...read(page).matchAll(/^\| ([^|]+) \|.*\| (`test\/[^|]+) \|$/gm)].map(([, id, tests]) => ({ id: id!, tests: tests! }));
}

test("docs/security.md has the 22 failures of others", () => {
  expect(rowsOf("docs/security.md").map(({ id }) => id)).toEqual(Array.from({ length: 22 }, (_, i) => `X${i + 1}`));
});

test("every row of docs/failures.md names tests", () => {
  const rows = read("docs/failures.md").match(/^\| (?!what|when)[^-]/gm);

  expect(rowsOf("docs/failures.md")).toHaveLength(rows!.length);
});

test.each([...rowsOf("docs/security.md"), ...rowsOf("docs/failures.md")])("the tests named for $id exist", ({ tests }) => {
  for (const named of tests.split(/; (?=`)/)) {
    const [, path, title] = /^`(test\/[\w/.-]+)`: (.+)$/.exec(named) ?? [];
    expect(path, named).toBeDefined();
    expect(read(path!), named).toContain(title);
  }
});
