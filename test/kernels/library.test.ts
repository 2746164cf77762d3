import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";

const library = findKernelLibrary();

const title = "the kernel library, built with or without CUDA,";
describe.skipIf(!library)(library ? title : `${title}: NOT TESTED, npm run kernels:build makes it`, () => {
  test("needs the C and C++ runtimes and nothing else to load", () => {
    const needed = readElf("--dynamic", /NEEDED.*\[(.+)\]/);

    expect(needed).toContain("libc.so.6");
    expect(needed.filter((name) => !/^(libc|libm|libstdc\+\+|libgcc_s|libpthread|libdl|librt|ld-linux.*)\.so\./.test(name))).toEqual([]);
  });

  test("neither takes CUDA's functions from others nor offers them its own", () => {
    const symbols = readElf("--dyn-syms", /(\S+)$/);

    expect(symbols).toContain("RegisterCustomOps");
    expect(symbols.filter((name) => /^(__)?cu(da)?[A-Z]/.test(name))).toEqual([]);
  });

  test("lets a process that has used it end by itself", () => {
    const program = fileURLToPath(new URL("use-once.ts", import.meta.url));

    expect(execFileSync(process.execPath, ["--import", import.meta.resolve("tsx"), program], { encoding: "utf8" })).toBe("done\n");
  });
});

/** What the pattern's group matches in each line of readelf's output. */
function readElf(option: string, pattern: RegExp): string[] {
  const lines = execFileSync("readelf", ["--wide", option, library!], { encoding: "utf8" }).split("\n");
  return lines.flatMap((line) => pattern.exec(line)?.[1] ?? []);
}
