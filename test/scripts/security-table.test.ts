// The table of docs/security.md stands or falls with its tests.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(`${root}${path}`, "utf8");

/** Rows of the table: the failure's id, and the tests that show what happens here. */
const rows = [...read("docs/security.md").matchAll(/^\| (X\d+) \|.*\| ([^|]+) \|$/gm)].map(([, id, tests]) => ({ id: id!, tests: tests! }));

test("docs/security.md has the 21 failures of others", () => {
  expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 21 }, (_, i) => `X${i + 1}`));
});

test.each(rows)("the tests named for $id exist", ({ tests }) => {
  for (const named of tests.split("; ")) {
    const [, path, title] = /^`(test\/[\w/.-]+)`: (.+)$/.exec(named) ?? [];
    expect(read(path!), named).toContain(title);
  }
});
