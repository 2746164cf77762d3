// Builds the kernels' native tests with the address and undefined-behaviour sanitizers and runs them. Needs g++ only:
// `node scripts/kernels/test.mjs`.

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join, dirname } from "node:path";
import { fileURLToPath } from "node:url";

const kernels = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "kernels");
const build = join(kernels, "build");
// float-cast-overflow is not part of "undefined", but is undefined.
const flags = ["-std=c++17", "-O1", "-g", "-pthread", "-Wno-maybe-uninitialized", "-fsanitize=address,undefined,float-cast-overflow"];

mkdirSync(build, { recursive: true });
for (const op of readdirSync(join(kernels, "ops"))) {
  const folder = join(kernels, "ops", op);
  const sources = readdirSync(folder).filter((name) => name.endsWith(".cc") && !name.endsWith("_op.cc"));
  const program = join(build, `${op}_test`);
  const paths = sources.map((name) => join(folder, name));
  execFileSync("g++", [...flags, "-fno-sanitize-recover=all", ...paths, "-o", program], { stdio: "inherit" });
  execFileSync(program, { stdio: "inherit" });
}
