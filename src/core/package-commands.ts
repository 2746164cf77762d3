// Commands of this package that messages tell the operator to run. They work in any folder: npm may have installed the package globally.

import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { shellWord } from "./shell-word.ts";

/** The same from src/ and from dist/. */
const root = resolve(fileURLToPath(new URL("../..", import.meta.url)));

/** `folder` is where the operator's shell is. */
export function kernelsBuildCommand(folder: string = process.cwd()): string {
  return folder === root ? "npm run kernels:build" : `npm run kernels:build --prefix ${shellWord(root)}`;
}

export function providerInstallCommand(folder: string = process.cwd()): string {
  const script = "scripts/gpu/install-provider.mjs";
  return `node ${folder === root ? script : shellWord(join(root, script))}`;
}
