// Finds the library of our own operators (kernels/), if it has been built, and checks that it was built from the present sources.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../core/errors.ts";
import { kernelsBuildCommand } from "../core/package-commands.ts";
import { readSection } from "./cuda/elf.ts";
import { requireLibrary } from "./load-library.ts";

/** The same from src/ and from dist/. */
const kernels = fileURLToPath(new URL("../../kernels", import.meta.url));
const builtLibrary = "build/libernie_kernels.so";

/** In which the library holds the hash of its sources (kernels/library.cc). */
const sourcesSection = "ernie_sources";

/**
 * The library that `npm run kernels:build` builds, or the one that $ERNIE_VL_KERNELS names; undefined when there is none. Throws UserError when the named
 * one does not exist, and when the library was built from other sources: its operators may lack what graphs use, and falling back to slower ones
 * would go unnoticed.
 */
export function findKernelLibrary(): string | undefined {
  const chosen = process.env["ERNIE_VL_KERNELS"];
  const path = chosen ? resolve(chosen) : join(kernels, builtLibrary);
  if (!existsSync(path) || !statSync(path).isFile()) {
    if (!chosen) return undefined;
    throw new UserError(
      `ERNIE_VL_KERNELS is ${chosen}, which does not exist; set it to the library that ${kernelsBuildCommand()} builds, or unset it`,
    );
  }
  // An installation may have the library without its sources.
  if (existsSync(join(kernels, "library.cc")) && readSection(path, sourcesSection) !== kernelSourcesHash()) {
    throw new UserError(
      `${chosen ?? `kernels/${builtLibrary}`} is out of date: the sources in kernels/ have changed; run ${kernelsBuildCommand()}`,
    );
  }
  return path;
}

/** Throws UserError if this system cannot load the library, for example because it was built on one with a newer C++ library. */
export function requireLoadable(library: string): void {
  requireLibrary(library, `run ${kernelsBuildCommand()} on this machine`);
}

/** Of all that the library is built from; scripts/kernels/build.mjs computes the same. */
export function kernelSourcesHash(): string {
  const hash = createHash("sha256");
  const names = readdirSync(kernels, { recursive: true, encoding: "utf8" });
  for (const name of names.toSorted()) {
    const isSource = /\.(cc|cu|cuh|h)$/.test(name) && !/^(build|bench)\/|_test\.(cc|cu)$/.test(name);
    if (isSource) hash.update(name).update(readFileSync(join(kernels, name)));
  }
  return hash.digest("hex");
}
