// GPUs that are not there.

import type { CudaGpu } from "../../src/runtime/cuda/probe.ts";

const gibibyte = 2 ** 30;

/** The slots of a KV cache can share its memory. */
export function makeGpu(totalGibibytes: number, freeGibibytes = totalGibibytes): CudaGpu {
  return {
    name: "GPU",
    computeCapability: "9.0",
    driverVersion: "13.0",
    deviceCount: 1,
    runtimeVersion: "13.0",
    providerPath: "",
    totalBytes: totalGibibytes * gibibyte,
    freeBytes: freeGibibytes * gibibyte,
    pageBytes: 2 ** 21,
    canReserve: () => true,
  };
}
