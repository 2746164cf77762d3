// What this program is: its version, and a fingerprint of the code that converts.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The version in package.json, which lies beside both src/ and dist/. */
export function programVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** Changes with the version and with any file under convert/, so that a conversion by other code is never taken from the cache. */
export function converterFingerprint(): string {
  const folder = fileURLToPath(new URL("convert", import.meta.url));
  const hash = createHash("sha256").update(programVersion());
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted()) {
    if (/\.[jt]s$/.test(file)) hash.update(file).update(readFileSync(join(folder, file)));
  }
  return hash.digest("hex");
}
