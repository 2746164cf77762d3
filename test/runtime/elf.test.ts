import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { onnxRuntimeVersion } from "../../src/core/manifest.ts";
import { UserError } from "../../src/core/errors.ts";
import { cudaTargets, describeTargets, hasCudaCode, readLibraryFacts, runsOn } from "../../src/runtime/cuda/elf.ts";
import { findOnnxRuntime } from "../../src/runtime/ort-api.ts";
import { makeFatbin, makeLibrary } from "./make-library.ts";

test("a library's version and what it needs are read from its file", () => {
  const { needed, versions } = readLibraryFacts(findOnnxRuntime());

  expect(versions).toContain(onnxRuntimeVersion);
  expect(needed).toContain("libc.so.6");
  expect(needed.every((name) => /^[\w.+-]+\.so/.test(name))).toBe(true);
});

test("a library with kernels for GPUs is told by the section that nvcc puts them in", () => {
  const folder = mkdtempSync(join(tmpdir(), "ernie-vl-elf-"));
  const path = join(folder, "lib.so");
  const bytes = readFileSync(findOnnxRuntime());
  bytes.write(".nv_fatbin\0", bytes.lastIndexOf(".init_array\0"), "latin1"); // in the table of section names
  writeFileSync(path, bytes);

  expect(hasCudaCode(findOnnxRuntime())).toBe(false);
  expect(hasCudaCode(path)).toBe(true);
  rmSync(folder, { recursive: true });
});

describe("the GPUs that a library has kernels for", () => {
  const folder = mkdtempSync(join(tmpdir(), "ernie-vl-elf-"));
  const path = join(folder, "lib.so");
  afterAll(() => rmSync(folder, { recursive: true }));
  const ofCudaRuntime = makeFatbin([[75, "machine", 8]]);
  const ofKernels = makeFatbin([
    [80, "machine", 100],
    [90, "intermediate", 41],
    [90, "machine", 100],
  ]);

  test("are those of its largest container: what the CUDA runtime inside it has is not its own", () => {
    writeFileSync(path, makeLibrary({ ".nv_fatbin": ofCudaRuntime + ofKernels + ofCudaRuntime }));

    const targets = cudaTargets(path);

    expect(targets).toEqual([
      { capability: 80, isIntermediate: false },
      { capability: 90, isIntermediate: false },
      { capability: 90, isIntermediate: true },
    ]);
    expect(describeTargets(targets)).toBe("8.0, 9.0 and newer");
  });

  test.each([
    ["no kernels", {}],
    ["kernels packed in an unknown way", { ".nv_fatbin": "something else that is longer than a header" }],
    ["a container that is cut off", { ".nv_fatbin": ofKernels.slice(0, 40) }],
  ])("cannot be told of one with %s", (_, sections: Record<string, string>) => {
    writeFileSync(path, makeLibrary(sections));

    expect(cudaTargets(path)).toEqual([]);
    expect(describeTargets(cudaTargets(path))).toBeUndefined();
  });

  test.each([
    ["an A100's machine code", 80, false, [80, 86, 89]],
    ["an RTX 30's machine code", 86, false, [86, 89]],
    ["an H100's machine code", 90, false, [90]],
    ["an H100's intermediate code", 90, true, [90, 100, 120]],
  ] as const)(
    "%s runs on GPUs of its generation that are not older, or if it is intermediate on all that are not",
    (_, capability, isIntermediate, expected) => {
      expect([75, 80, 86, 89, 90, 100, 120].filter((gpu) => runsOn({ capability, isIntermediate }, gpu))).toEqual(expected);
    },
  );
});

const otherFiles: [string, Uint8Array][] = [
  ["an empty file", new Uint8Array()],
  ["a text", Buffer.from("not a library, but longer than the header of one would be: it has to be read")],
  ["a library cut off after its header", Buffer.concat([Buffer.from("\x7fELF\x02\x01", "latin1"), Buffer.alloc(58, 64)])],
];
test.each(otherFiles)("%s is refused in words", (_, content) => {
  const folder = mkdtempSync(join(tmpdir(), "ernie-vl-elf-"));
  const path = join(folder, "lib.so");
  writeFileSync(path, content);

  expect(() => readLibraryFacts(path)).toThrow(UserError);
  rmSync(folder, { recursive: true });
});
