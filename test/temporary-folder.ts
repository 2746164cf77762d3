// Folders for what tests write, removed when the tests of a file are over.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const root = mkdtempSync(join(tmpdir(), "ernie-vl-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A new empty folder that lasts as long as the tests of one file. */
export function temporaryFolder(): string {
  return mkdtempSync(join(root, "case-"));
}
