// Compares what we pass to the driver, and what we make of its errors, with CUDA's headers, where they are installed.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DeviceLostError } from "../../src/core/errors.ts";
import { toError } from "../../src/runtime/cuda/cudart.ts";
import { CudaDriver, type DriverFunctions } from "../../src/runtime/cuda/driver.ts";

const roots = [process.env["CUDA_PATH"], "/usr/local/cuda"];
const headers = roots.map((root) => join(root ?? "", "include")).find((folder) => existsSync(join(folder, "cuda.h")));
const hasCompiler = spawnSync("gcc", ["--version"]).status === 0;

const program = `
#include <cuda.h>
#include <stdio.h>
#include <string.h>
static void print(const void* object, size_t size) {
  for (size_t i = 0; i < size; i++) printf("%02x", ((const unsigned char*)object)[i]);
  printf("\\n");
}
int main(void) {
  CUmemAllocationProp properties;
  memset(&properties, 0, sizeof properties);
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = 5;
  print(&properties, sizeof properties);
  CUmemAccessDesc access;
  memset(&access, 0, sizeof access);
  access.location = properties.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  print(&access, sizeof access);
  printf("%d %d\\n", CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);
  printf("%zu %zu\\n", sizeof(CUdeviceptr), sizeof(CUmemGenericAllocationHandle));
  return 0;
}
`;

function compileAndRun(): string[] {
  const folder = mkdtempSync(join(tmpdir(), "driver-layout-"));
  try {
    writeFileSync(join(folder, "layout.c"), program);
    execFileSync("gcc", ["-I", headers!, "-o", join(folder, "layout"), join(folder, "layout.c")]);
    return execFileSync(join(folder, "layout"), { encoding: "utf8" }).trim().split("\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test.skipIf(!headers || !hasCompiler)("structs and constants are those of cuda.h", () => {
  const hex = (numbers: Int32Array) => Buffer.from(numbers.buffer).toString("hex");
  const said: string[] = [];
  const functions: Partial<DriverFunctions> = {
    cuDeviceGet: () => 0,
    cuDeviceGetAttribute: (out, attribute) => {
      out[0] = 1;
      said.push(String(attribute));
      return 0;
    },
    cuMemGetAllocationGranularity: (_, properties, option) => {
      said.push(String(option), hex(properties));
      return 0;
    },
    cuMemSetAccess: (_, __, access) => {
      said.push(hex(access));
      return 0;
    },
  };
  const driver = new CudaDriver(functions as DriverFunctions);
  driver.pageBytes(5);
  driver.memSetAccess(0n, 0, 5);
  const [attribute, option, properties, access] = said;

  expect([properties, access, `${attribute} ${option}`, "8 8"]).toEqual(compileAndRun());
});

/** Comment, name and code of each cudaError_t. */
const errorPattern = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*(cudaError\w+)\s*=\s*(\d+)/g;
/** It names work that other devices or APIs queued, which nobody does here. */
const foreign = ["cudaErrorExternalDevice"];

test.skipIf(!headers)("an error after which the process must end, as driver_types.h has it, is a lost device", () => {
  const errors = readFileSync(join(headers!, "driver_types.h"), "utf8").matchAll(errorPattern);
  const deadly = Array.from(errors).filter(
    ([, comment, name]) => /process\s[*\s]*must\s[*\s]*be/.test(comment!) && !foreign.includes(name!),
  );

  expect(deadly.length).toBeGreaterThan(5);
  for (const [, , name, code] of deadly) expect(toError("cudaStreamSynchronize", Number(code)), name).toBeInstanceOf(DeviceLostError);
});
