// Where our own operators (kernels/) are, if they have been built.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The library that `npm run kernels:build` makes, or the one that $ERNIE_VL_KERNELS names; undefined when there is none. */
export function findKernelLibrary(): string | undefined {
  const chosen = process.env["ERNIE_VL_KERNELS"];
  // The same from src/ and from dist/.
  const path = chosen ? resolve(chosen) : fileURLToPath(new URL("../../kernels/build/libernie_kernels.so", import.meta.url));
  return existsSync(path) ? path : undefined;
}
