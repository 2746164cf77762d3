import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { scripts: Record<string, string> };
const named = Object.entries(scripts).flatMap(([name, command]) => {
  const file = /\btsx (\S+)/.exec(command)?.[1];
  return file === undefined ? [] : [[file, name] as const];
});

// Nothing else in the suite starts most of them: this notices imports that fail outside Vitest.
it.each<readonly [file: string, name: string]>([
  ...named,
  ["scripts/grammar/check-schemas.ts", "check-schemas"],
  ["scripts/grammar/mask-cost.ts", "mask-cost"],
  ["scripts/kernels/bench-linear.ts", "bench-linear"],
  ["scripts/kernels/bench-attention.ts", "bench-attention"],
])("%s starts, and --help explains it", async (file, name) => {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", file, "--help"], { cwd: root });
  expect(stdout).toMatch(new RegExp(`^Usage: ${name} `));
});
