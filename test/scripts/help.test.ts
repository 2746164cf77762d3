import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { scripts: Record<string, string> };
const programs = Object.entries(scripts).flatMap(
  ([name, command]) =>
    /\btsx (\S+)/
      .exec(command)
      ?.slice(1)
      .map((file) => ({ name, file })) ?? [],
);
const withoutNames = [
  "scripts/grammar/check-schemas.ts",
  "scripts/grammar/mask-cost.ts",
  "scripts/kernels/bench-linear.ts",
  "scripts/kernels/bench-attention.ts",
];

// Nothing else in the suite starts most of them: this notices imports that fail outside Vitest.
it.each([...programs.map(({ file, name }) => [file, name]), ...withoutNames.map((file) => [file, /([^/]+)\.ts$/.exec(file)![1]!])])(
  "%s starts, and --help explains it",
  async (file, name) => {
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", file!, "--help"], { cwd: root });
    expect(stdout).toMatch(new RegExp(`^Usage: ${name} `));
  },
);
