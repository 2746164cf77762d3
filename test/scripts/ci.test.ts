// .ci/run with an npm of our own: whatever fails, it ends with a line that counts, and names what failed.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../temporary-folder.ts";

/** Fails where its arguments are those of FAILS. Tests write a report, unless they fail by NO_REPORT. */
const npm = `#!/bin/bash
mkdir -p work
case "$*" in
  test) report=test-results ;;
  "run test:browser") report=browser-test-results ;;
esac
if [ "$*" = "$FAILS" ]; then
  echo "$* says why" >&2
  [ -n "$NO_REPORT" ] || cp failed.json work/$report.json
  exit 1
fi
[ -z "\${report:-}" ] || cp passed.json work/$report.json
`;
const passed = { numPassedTests: 3, testResults: [{ name: "a.test.ts", status: "passed", assertionResults: [{ status: "passed" }] }] };
const failed = {
  numPassedTests: 1,
  testResults: [
    { name: "a.test.ts", status: "failed", assertionResults: [{ status: "failed", fullName: "adds", failureMessages: ["1 is not 2"] }] },
    { name: "b.test.ts", status: "failed", message: "no such module", assertionResults: [] },
  ],
};

/** What the run prints, by line, and its exit status. `earlier`: what ran before. */
function ci(environment: Readonly<Record<string, string>>, earlier: readonly Readonly<Record<string, string>>[] = []) {
  const folder = temporaryFolder();
  for (const name of [".ci", "bin"]) mkdirSync(join(folder, name));
  copyFileSync(".ci/run", join(folder, ".ci/run"));
  for (const program of ["ffmpeg", "chromium"]) writeFileSync(join(folder, "bin", program), "#!/bin/bash\n", { mode: 0o755 });
  writeFileSync(join(folder, "bin/npm"), npm, { mode: 0o755 });
  writeFileSync(join(folder, "passed.json"), JSON.stringify(passed));
  writeFileSync(join(folder, "failed.json"), JSON.stringify(failed));
  const run = (more: Readonly<Record<string, string>>) => {
    const env = { FAILS: "", NO_REPORT: "", ...more, PATH: `${join(folder, "bin")}:${process.env["PATH"]}` };
    return spawnSync("bash", [join(folder, ".ci/run")], { encoding: "utf8", env });
  };
  for (const one of earlier) run(one);
  const { status, stdout, stderr } = run(environment);
  expect(stderr).toBe(environment["FAILS"] ? `${environment["FAILS"]} says why\n` : "");
  const lines = stdout.trimEnd().split("\n");
  return { status, last: lines.at(-1), failures: lines.filter((line) => line.startsWith("FAILED ")) };
}

test("all pass", () => {
  expect(ci({})).toEqual({ status: 0, last: "6 passed, 0 failed", failures: [] });
});

test.each(["test", "run test:browser"])("npm %s has tests that fail, and a file that is none", (step) => {
  expect(ci({ FAILS: step })).toEqual({
    status: 1,
    last: "4 passed, 2 failed",
    failures: ["FAILED a.test.ts: adds", "FAILED b.test.ts: no such module"],
  });
});

test.each([
  ["run kernels:build", "0 passed, 1 failed"],
  ["run kernels:test", "0 passed, 1 failed"],
  ["test", "3 passed, 1 failed"], // by lint, say
  ["run test:browser", "3 passed, 1 failed"],
])("npm %s fails before it has a test: that is a failure too, and the tests of an earlier run do not count", (step, last) => {
  expect(ci({ FAILS: step, NO_REPORT: "1" }, [{}])).toEqual({ status: 1, last, failures: [`FAILED npm ${step}: its output is above`] });
});
