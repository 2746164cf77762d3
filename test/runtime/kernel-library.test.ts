import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { chooseSettings } from "../../src/cli/prepare-model.ts";
import { UserError } from "../../src/core/errors.ts";
import { findKernelLibrary, kernelSourcesHash, requireLoadable } from "../../src/runtime/kernel-library.ts";
import { makeLibrary } from "./make-library.ts";

const folder = mkdtempSync(join(tmpdir(), "ernie-vl-kernel-library-"));
const path = join(folder, "libernie_kernels.so");

afterEach(() => vi.unstubAllEnvs());
afterAll(() => rmSync(folder, { recursive: true }));

test("the library that is named is taken, by a relative path too", () => {
  writeFileSync(path, makeLibrary({ ernie_sources: kernelSourcesHash() }));
  vi.stubEnv("ERNIE_VL_KERNELS", relative(process.cwd(), path));

  expect(findKernelLibrary()).toBe(path);
});

const belowFile = join(relative(tmpdir(), import.meta.filename), "libernie_kernels.so");

test.each(["", join("nowhere", "libernie_kernels.so"), belowFile])(
  "one that is not there is the operator's error, not another operator: %j",
  (name) => {
    const missing = join(tmpdir(), name); // the first is a folder
    vi.stubEnv("ERNIE_VL_KERNELS", missing);

    expect(findKernelLibrary).toThrow(
      new UserError(
        `ERNIE_VL_KERNELS is ${missing}, which does not exist; set it to the library that npm run kernels:build builds, or unset it`,
      ),
    );
  },
);

test.each([
  ["of other sources", { ernie_sources: "0".repeat(64) }],
  ["from before libraries said so", {}],
] as const)("a library %s is the operator's error, also where it would be chosen by itself", (_, sections) => {
  writeFileSync(path, makeLibrary(sections));
  vi.stubEnv("ERNIE_VL_KERNELS", path);
  const error = new UserError(`${path} is out of date: the sources in kernels/ have changed; run npm run kernels:build`);

  expect(findKernelLibrary).toThrow(error);
  expect(() => chooseSettings("int4", "fp32", "auto")).toThrow(error);
});

test("a library that this system cannot load is the operator's error", () => {
  writeFileSync(path, makeLibrary({ ernie_sources: kernelSourcesHash() }));

  const message = /libernie_kernels\.so cannot be loaded \(.+\); run npm run kernels:build on this machine$/;
  expect(() => requireLoadable(path)).toThrow(expect.objectContaining({ constructor: UserError, message: expect.stringMatching(message) }));
});
