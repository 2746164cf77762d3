import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { instructionSet } from "../../src/cli/instruction-set.ts";

const kernelSource = readFileSync(fileURLToPath(new URL("../../kernels/common/cpu_lanes.cc", import.meta.url)), "utf8");
/** What the kernels ask the processor for on x86, in Linux's words. */
const asked = [...kernelSource.matchAll(/__builtin_cpu_supports\("(\w+)"\)/g)].map(([, name]) =>
  name!.replace(/(?<=^avx(512)?)vnni$/, "_vnni"),
);

const x86 = (features: readonly string[]) => `processor\t: 0\nmodel name\t: some CPU\nflags\t\t: fpu ${features.join(" ")}\nbugs\t\t:\n`;

describe("the instruction set is", () => {
  test("AVX-512 VNNI where there is all that the kernels ask for", () => {
    expect(asked).toHaveLength(9);
    expect(instructionSet(x86(asked))).toBe("AVX-512 VNNI");
  });

  test.each(asked)("the best of the rest without %s", (missing) => {
    const expected = missing.startsWith("avx512") ? "AVX-VNNI" : missing === "avx_vnni" ? "AVX-512 VNNI" : "none";

    expect(instructionSet(x86(asked.filter((name) => name !== missing)))).toBe(expected);
  });

  test("AVX2 without either VNNI", () => {
    expect(instructionSet(x86(asked.filter((name) => !name.endsWith("vnni"))))).toBe("AVX2");
  });

  test.each([
    ["fp asimd evtstrm aes crc32 atomics fphp asimdhp asimdrdm asimddp", "NEON dot products"],
    ["fp asimd evtstrm crc32", "none"],
  ])("on arm64 with %s: %s", (features, expected) => {
    expect(instructionSet(`processor\t: 0\nFeatures\t: ${features}\nCPU part\t: 0xd0c\n`)).toBe(expected);
  });

  test("unknown where the system lists no features", () => {
    expect(instructionSet("processor\t: 0\n")).toBeUndefined();
  });
});
