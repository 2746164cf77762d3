// What this program is: its version, and a fingerprint of the code that converts.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, parse } from "node:path";
import { fileURLToPath } from "node:url";

/** The version in package.json, which lies beside both src/ and dist/. */
export function programVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** What a conversion's bytes depend on beside convert/: formats of numbers, names of inputs, the manifest, sizes of patches, the name of a checkpoint, and whose tokenizer a made-up model has. */
const sharedModules = ["checkpoint-name", "concat-floats", "data-type", "graph-io", "half", "manifest", "nano-model", "vision-grid"];

/**
 * Changes with the version and with the code that decides what a conversion writes, so that a conversion by other code is never taken
 * from the cache. `root` holds the program's modules.
 */
export function converterFingerprint(root: string = fileURLToPath(new URL(".", import.meta.url))): string {
  const hash = createHash("sha256").update(programVersion());
  const files = [
    ...readdirSync(join(root, "convert"), { recursive: true, encoding: "utf8" }).map((name) => join("convert", name)),
    ...readdirSync(join(root, "core")).flatMap((name) => (sharedModules.includes(parse(name).name) ? [join("core", name)] : [])),
  ];
  for (const file of files.toSorted()) if (/\.[jt]s$/.test(file)) hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest("hex");
}
