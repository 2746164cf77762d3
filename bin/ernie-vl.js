#!/usr/bin/env node
// Starts the program that `npm install` builds. This file is there before the build, so that npx can link it, and runs in any version of Node, so
// that it can say what is missing.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const program = new URL("../dist/main.js", import.meta.url);
const { node } = process.versions;
if (node.localeCompare("20.19.0", "en", { numeric: true }) < 0) fail(`expected Node 20.19 or newer, got ${node}; get one from nodejs.org`);
else if (!existsSync(program)) fail(`not built yet; run npm install in ${fileURLToPath(new URL("..", import.meta.url))}`);
else await import(program.href);

function fail(reason) {
  process.stderr.write(`ernie-vl: ${reason}\n`);
  process.exitCode = 1;
}
