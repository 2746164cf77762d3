// The bandwidth of plain copies, the limit for everything that is memory-bound, in GB/s (10⁹ bytes; a copy on the device counts both the
// bytes it reads and those it writes).

import { median } from "../../src/loadgen/percentiles.ts";
import { loadCuda, deviceId } from "../../src/runtime/cuda/probe.ts";
import type { CopyKind } from "../../src/runtime/cuda/cudart.ts";

export type CopySpeeds = Readonly<Record<string, number>>;

const rounds = 15;

export function measureCopies(device: "cpu" | "cuda", isSmall: boolean): CopySpeeds {
  return device === "cuda" ? deviceCopies(isSmall ? 1 << 26 : 2 ** 31) : { "on the host": hostCopy(isSmall ? 1 << 26 : 1 << 29) };
}

function hostCopy(byteLength: number): number {
  const [from, to] = [new Uint8Array(byteLength).fill(1), new Uint8Array(byteLength)];
  return 2 * gigabytesPerSecond(byteLength, () => to.set(from));
}

function deviceCopies(byteLength: number): CopySpeeds {
  const { cudart } = loadCuda();
  cudart.setDevice(deviceId);
  const stream = cudart.streamCreate();
  const [a, b, host] = [cudart.malloc(byteLength), cudart.malloc(byteLength), cudart.hostAlloc(byteLength)];
  const time = (to: bigint, from: bigint, kind: CopyKind): number =>
    gigabytesPerSecond(byteLength, () => {
      cudart.memcpyAsync(to, from, byteLength, kind, stream);
      cudart.streamSynchronize(stream);
    });
  try {
    return {
      "on the device": 2 * time(b, a, "onDevice"),
      "to the device": time(a, host, "upload"),
      "to the host": time(host, a, "download"),
    };
  } finally {
    cudart.freeHost(host);
    for (const address of [a, b]) cudart.free(address);
    cudart.streamDestroy(stream);
  }
}

/** Median of several rounds after a warm-up. */
function gigabytesPerSecond(byteLength: number, copy: () => void): number {
  for (let i = 0; i < 3; i++) copy();
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    copy();
    return performance.now() - start;
  });
  return byteLength / 1e6 / median(times);
}
