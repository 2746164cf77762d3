// ONNX Runtime's real CUDA provider over an emulated GPU whose kernels do nothing: whether the host's side of a GPU works, wherever the
// provider is installed (scripts/gpu/install-provider.mjs). The numbers that come out mean nothing and are not looked at.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { providerFiles } from "../../src/runtime/cuda/probe.ts";
import { findOnnxRuntime } from "../../src/runtime/ort-api.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const isInstalled = providerFiles.every((name) => existsSync(join(dirname(findOnnxRuntime()), name)));
const hasTools = ["gcc", "nm"].every((tool) => spawnSync(tool, ["--version"]).status === 0);
const hasHeaders = [process.env["CUDA_PATH"], "/usr/local/cuda"].some(
  (path) => path && existsSync(join(path, "include/cuda_runtime_api.h")),
);

describe("on an emulated GPU", () => {
  if (!isInstalled) return test.skip("NOT TESTED, the CUDA provider is not installed (node scripts/gpu/install-provider.mjs)", () => {});
  if (!hasTools || !hasHeaders) return test.skip("NOT TESTED, it takes gcc, nm and CUDA's headers", () => {});

  const emulate = join(root, "scripts/gpu/emulation/run.ts");
  const check = join(root, "scripts/gpu/gpu-check.ts");

  test("the nano model is computed with CUDA graphs and without, with every operator on the device and no misuse of CUDA", () => {
    const work = mkdtempSync(join(tmpdir(), "ernie-vl-emulated-gpu-"));
    const flags = ["--device", "cuda", "--small", "--only", "environment,graphs-qmoe", "--out", join(work, "gpu-check.json")];
    const command = ["tsx", emulate, "npx", "tsx", check, ...flags];

    const { status, stdout, stderr } = spawnSync("npx", command, { cwd: root, encoding: "utf8", timeout: 500_000 });

    expect(stdout + stderr).toContain("emulated GPU: no misuse of CUDA");
    expect(stdout).toMatch(/ [1-9]\d* of them captured, [1-9]\d* graph launches/);
    expect(stdout).toMatch(/^graphs-qmoe +ok/m);
    expect(status).toBe(0);
    rmSync(work, { recursive: true });
  });
});
