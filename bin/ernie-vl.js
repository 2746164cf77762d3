#!/usr/bin/env node
// Starts the program that `npm install` builds. This file is there before the build, so that npx can link it, and says what to do if the build is missing.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const program = new URL("../dist/main.js", import.meta.url);
if (existsSync(program)) await import(program.href);
else {
  process.stderr.write(`ernie-vl: not built yet; run npm install in ${fileURLToPath(new URL("..", import.meta.url))}\n`);
  process.exitCode = 1;
}
