import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { onnxRuntimeVersion } from "../../src/core/manifest.ts";
import { UserError } from "../../src/core/errors.ts";
import { hasCudaCode, readLibraryFacts } from "../../src/runtime/cuda/elf.ts";
import { findOnnxRuntime } from "../../src/runtime/ort-api.ts";

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
