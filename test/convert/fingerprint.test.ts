import { appendFileSync, cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { converterFingerprint } from "../../src/version.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const source = fileURLToPath(new URL("../../src", import.meta.url));

/** The fingerprint of this program with a line added to one of its files. */
function fingerprintWithChange(changed: string): string {
  const copy = temporaryFolder();
  for (const folder of ["convert", "core"]) cpSync(join(source, folder), join(copy, folder), { recursive: true });
  appendFileSync(join(copy, changed), "\n");
  return converterFingerprint(copy);
}

/** Words of messages, what is refused, and how many threads compute: they decide no byte of a conversion. */
const withoutEffect = new Set([
  "core/errors.ts",
  "core/file-system.ts",
  "core/format-bytes.ts",
  "core/read-json.ts",
  "core/routing.ts",
  "core/usable-cpus.ts",
]);

/** Modules of core/ that the converter takes values from, not types alone. */
const usedCore = readdirSync(join(source, "convert"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .flatMap((name) => [
    ...readFileSync(join(source, "convert", name), "utf8").matchAll(/^import (?!type )[^;]*?from "[./]+\/(core\/[\w-]+\.ts)";/gm),
  ])
  .map(([, path]) => path!)
  .filter((path) => !withoutEffect.has(path));

describe("a cached conversion is made again when there is a change in", () => {
  test.each(["convert/plan.ts", "convert/quantize/blockwise.ts", ...new Set(usedCore)])("%s", (path) => {
    expect(fingerprintWithChange(path)).not.toBe(converterFingerprint());
  });
});

test("a change of what conversions do not see leaves the cache as it is", () => {
  expect(fingerprintWithChange("core/chat.ts")).toBe(converterFingerprint());
});
