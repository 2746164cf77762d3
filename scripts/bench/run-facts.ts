// Where and how a measurement was made, and a file for that and its figures.

import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, resolve } from "node:path";

/** `script`: its name in package.json. */
export function runFacts(script: string) {
  return {
    machine: `${cpus().length} × ${cpus()[0]!.model.trim()}`,
    node: process.version,
    commit: currentCommit(),
    command: `npm run ${script} -- ${process.argv.slice(2).join(" ")}`.trim(),
  };
}

/** The commit of the checkout; $ERNIE_VL_COMMIT gives it for a copy without history. */
function currentCommit(): string {
  const told = process.env["ERNIE_VL_COMMIT"];
  if (told) return told;
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "unknown";
  }
}

/** Creates missing folders, and replaces the file in one step: a process that is killed leaves the old one or the new one. */
export function writeJson(path: string, value: unknown): void {
  const target = resolve(path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(`${target}.new`, `${JSON.stringify(value, undefined, 2)}\n`);
  renameSync(`${target}.new`, target);
}
