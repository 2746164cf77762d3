// Where our own operators (kernels/) are, if they have been built.

import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../core/errors.ts";

/**
 * The library that `npm run kernels:build` makes, or the one that $ERNIE_VL_KERNELS names; undefined when there is none. Throws UserError
 * when the one that is named is not there: a model would be converted for a slower operator instead.
 */
export function findKernelLibrary(): string | undefined {
  const chosen = process.env["ERNIE_VL_KERNELS"];
  // The same from src/ and from dist/.
  const path = chosen ? resolve(chosen) : fileURLToPath(new URL("../../kernels/build/libernie_kernels.so", import.meta.url));
  if (!chosen) return existsSync(path) ? path : undefined;
  if (statSync(path, { throwIfNoEntry: false })?.isFile()) return path;
  throw new UserError(
    `ERNIE_VL_KERNELS is ${chosen}, expected the file that npm run kernels:build makes, got none of that name; correct or unset it`,
  );
}
