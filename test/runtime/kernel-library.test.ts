import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test, vi } from "vitest";
import { UserError } from "../../src/core/errors.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";

afterEach(() => vi.unstubAllEnvs());

test("the library that is named is taken, by a relative path too", () => {
  const path = fileURLToPath(import.meta.url);
  vi.stubEnv("ERNIE_VL_KERNELS", relative(process.cwd(), path));

  expect(findKernelLibrary()).toBe(path);
});

test.each(["", join("nowhere", "libernie_kernels.so")])(
  "one that is not there is the operator's error, not another operator: %j",
  (name) => {
    const path = join(tmpdir(), name); // the first is a folder
    vi.stubEnv("ERNIE_VL_KERNELS", path);

    expect(findKernelLibrary).toThrow(
      new UserError(
        `ERNIE_VL_KERNELS is ${path}, expected the file that npm run kernels:build makes, got none of that name; correct or unset it`,
      ),
    );
  },
);
