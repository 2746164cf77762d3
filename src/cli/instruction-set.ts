// Which instruction set our CPU kernels take on this processor: bestCpuKernel (kernels/common/cpu_lanes.cc), by the features that Linux lists.

import { readSystemFile } from "../core/file-system.ts";

const avx2 = ["avx2", "fma", "f16c"];

/** With the features that each takes; the best first. */
const sets: readonly (readonly [name: string, features: readonly string[]])[] = [
  ["AVX-512 VNNI", [...avx2, "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"]],
  ["AVX-VNNI", [...avx2, "avx_vnni"]],
  ["AVX2", avx2],
  ["NEON dot products", ["asimddp"]],
];

/** "none": portable code computes. Undefined if the system lists no features. */
export function instructionSet(cpuInfo: string = readSystemFile("/proc/cpuinfo")): string | undefined {
  const [, listed] = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuInfo) ?? [];
  if (listed === undefined) return undefined;
  const present = new Set(listed.split(" "));
  return sets.find(([, features]) => features.every((feature) => present.has(feature)))?.[0] ?? "none";
}
