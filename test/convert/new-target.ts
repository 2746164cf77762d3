// Where tests convert to.

import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { temporaryFolder } from "../temporary-folder.ts";

/** A folder that does not exist yet, in one of its own. */
export function newTarget(): string {
  return join(temporaryFolder(), "model");
}

/** What else lies in the folder that the target is in. */
export function namesBeside(target: string): string[] {
  return readdirSync(dirname(target)).filter((name) => name !== basename(target));
}
