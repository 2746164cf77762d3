import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import type { DeviceChoice } from "../../src/cli/options.ts";
import { defaultMemoryWishes } from "../../src/cli/memory-wishes.ts";
import { planStart, type StartWishes } from "../../src/cli/plan-start.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import { UserError } from "../../src/core/errors.ts";
import type { ActivationFormat } from "../../src/core/manifest.ts";
import type { CudaProbe } from "../../src/runtime/cuda/probe.ts";
import { kernelSourcesHash } from "../../src/runtime/kernel-library.ts";
import { makeFatbin, makeLibrary } from "../runtime/make-library.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { makeGpu } from "./make-gpu.ts";

const root = temporaryFolder();
const converted = (activations: ActivationFormat) => join(root, activations);

beforeAll(async () => {
  for (const activations of ["fp32", "bf16"] as const) {
    await convertCheckpoint(nanoModel, converted(activations), { settings: { weights: "int4", activations }, programVersion: "0" });
  }
});
afterEach(() => vi.unstubAllEnvs());

/** With this much memory, all of it free. */
const gpuOf = (gibibytes: number): CudaProbe => ({ gpu: makeGpu(gibibytes) });
const noGpu: CudaProbe = { reason: "there is no driver" };
const tiny = gpuOf(0.75);

function plan(folder: string, device: DeviceChoice, probe: CudaProbe, wishes: Partial<StartWishes> = {}) {
  const lines: string[] = [];
  const all: StartWishes = { ...defaultMemoryWishes, device, weights: "int4", activations: undefined, experts: "onnxruntime", ...wishes };
  const {
    device: chosen,
    settings,
    memory,
  } = planStart(
    folder,
    all,
    (line) => lines.push(line),
    () => probe,
  );
  return { kind: chosen.kind, experts: settings.experts, activations: settings.activations, kvDataType: memory.kvDataType, memory, lines };
}

describe("a checkpoint", () => {
  test("is converted for the GPU that auto finds", () => {
    expect(plan(nanoModel, "auto", gpuOf(24))).toMatchObject({ kind: "cuda", activations: "bf16", kvDataType: "bfloat16", lines: [] });
  });

  test("is converted for the CPU where there is none", () => {
    const lines = ["No usable GPU, running on the CPU: there is no driver"];
    expect(plan(nanoModel, "auto", noGpu)).toMatchObject({ kind: "cpu", activations: "fp32", kvDataType: "float32", lines });
  });

  test("is converted for the CPU where the GPU is too small, and auto says so with the numbers", () => {
    const { kind, activations, lines } = plan(nanoModel, "auto", tiny);

    expect({ kind, activations }).toEqual({ kind: "cpu", activations: "fp32" });
    expect(lines).toEqual([
      expect.stringMatching(/^Running on the CPU: not enough memory: the model needs .* MiB weights.* of the GPU's 768\.0 MiB/),
    ]);
  });

  test("is converted for the CPU where the GPU has room for all but the smallest KV cache, and refused where it was meant for that GPU", () => {
    const { totalBytes, freeBytes, ...gpu } = makeGpu(24);
    const { usableBytes, weightBytes, workspaceBytes, kvBytesPerToken } = plan(nanoModel, "cuda", gpuOf(24), {
      prefillChunkTokens: 512,
    }).memory;
    const spareBytes = usableBytes - weightBytes - workspaceBytes;
    const leaving = (tokens: number): CudaProbe => ({
      gpu: { ...gpu, totalBytes, freeBytes: freeBytes - spareBytes + tokens * kvBytesPerToken },
    });

    expect(plan(nanoModel, "auto", leaving(1024))).toMatchObject({
      kind: "cuda",
      lines: [],
      memory: { kv: { slotCount: 1, capacity: 1024 } },
    });
    const { kind, lines } = plan(nanoModel, "auto", leaving(1023));
    expect(kind).toBe("cpu");
    expect(lines).toEqual([
      expect.stringMatching(/^Running on the CPU: not enough memory: .* plus a KV cache of at least 1\.0 MiB, but only /),
    ]);
    expect(() => plan(nanoModel, "cuda", leaving(1023))).toThrow(/^not enough memory: .* plus a KV cache of at least 1\.0 MiB, but only /);
    expect(plan(nanoModel, "auto", leaving(100), { maxModelLength: 100 })).toMatchObject({ kind: "cuda" });
    expect(() => plan(nanoModel, "auto", leaving(1024), { maxModelLength: 2048 })).toThrow(
      /^a KV cache of 1 × 2048 tokens needs 2\.0 MiB /,
    );
  });

  test("that does not fit on the GPU it was meant for is refused", () => {
    expect(() => plan(nanoModel, "cuda", tiny)).toThrow(/^not enough memory: /);
    expect(() => plan(nanoModel, "cuda", noGpu)).toThrow(new UserError("--device cuda: there is no driver"));
  });

  test("gets the activations that the operator wants, on a device that has them", () => {
    expect(plan(nanoModel, "auto", gpuOf(24), { activations: "fp32" })).toMatchObject({ kind: "cpu", activations: "fp32" });
    expect(plan(nanoModel, "auto", tiny, { activations: "fp16" })).toMatchObject({ kind: "cpu", activations: "fp16" });
    expect(plan(nanoModel, "auto", gpuOf(24), { kvCacheType: "int8" })).toMatchObject({ kind: "cuda", kvDataType: "int8" });
  });
});

describe("a converted model", () => {
  test("runs where its activations can be computed", () => {
    expect(plan(converted("bf16"), "auto", gpuOf(24))).toMatchObject({ kind: "cuda", activations: "bf16" });
    expect(plan(converted("fp32"), "auto", gpuOf(24))).toMatchObject({ kind: "cpu", activations: "fp32" });
  });

  test.each<[Partial<StartWishes>, string]>([
    [{ weights: "int8" }, "--weights int8: this model is already converted, with int4"],
    [{ activations: "fp16" }, "--activations fp16: this model is already converted, with fp32"],
    [{ experts: "modality-moe" }, "--experts modality-moe: this model is already converted, with onnxruntime"],
  ])("takes no flag that asks for another conversion: %j", (wishes, message) => {
    expect(() => plan(converted("fp32"), "cpu", noGpu, wishes)).toThrow(
      new UserError(`${message}; omit the option, or convert the checkpoint again`),
    );
  });

  test("takes flags that it agrees with, and none", () => {
    expect(plan(converted("fp32"), "cpu", noGpu, { weights: "int4", activations: "fp32" }).kind).toBe("cpu");
    expect(plan(converted("fp32"), "cpu", noGpu, { weights: undefined, experts: "auto" }).kind).toBe("cpu");
  });

  test("that only a GPU computes is refused with the reason why the GPU cannot have it", () => {
    expect(() => plan(converted("bf16"), "auto", tiny)).toThrow(/^not enough memory: /);
    expect(() => plan(converted("bf16"), "auto", noGpu)).toThrow(/^the CPU supports fp32 and fp16 activations/);
  });
});

describe("with a kernel library that was built without CUDA", () => {
  // Only its sections are looked at.
  const stub = () => {
    const library = join(root, "libernie_kernels.so");
    writeFileSync(library, makeLibrary({ ernie_sources: kernelSourcesHash() }));
    vi.stubEnv("ERNIE_VL_KERNELS", library);
  };

  test("a GPU gets ONNX Runtime's operator, a CPU our own", () => {
    stub();

    expect(plan(nanoModel, "auto", gpuOf(24), { experts: "auto" })).toMatchObject({ kind: "cuda", experts: undefined });
    expect(plan(nanoModel, "auto", noGpu, { experts: "auto" })).toMatchObject({ kind: "cpu", experts: "modality-moe" });
  });

  test("a model that was converted for our operator is refused on a GPU, with what to do", async () => {
    stub();
    const folder = join(root, "own-operator");
    const settings = { weights: "int4", activations: "bf16", experts: "modality-moe" } as const;
    await convertCheckpoint(nanoModel, folder, { settings, programVersion: "0" });

    expect(() => plan(folder, "cuda", gpuOf(24), { experts: "auto" })).toThrow(
      /built without CUDA; run npm run kernels:build where nvcc is installed/,
    );
    expect(() => plan(nanoModel, "cuda", gpuOf(24), { experts: "modality-moe" })).toThrow(/built without CUDA/);
  });
});

test("a kernel library for other GPUs than the one that is there is refused, with what to build", () => {
  const library = join(root, "libernie_kernels.so");
  vi.stubEnv("ERNIE_VL_KERNELS", library);
  const build = (capability: number) =>
    writeFileSync(library, makeLibrary({ ernie_sources: kernelSourcesHash(), ".nv_fatbin": makeFatbin([[capability, "machine", 100]]) }));

  build(80);
  expect(() => plan(nanoModel, "cuda", gpuOf(24), { experts: "auto" })).toThrow(
    "the ModalityMoe kernel was built for GPUs of compute capability 8.0, but GPU has 9.0; run CUDA_ARCHITECTURES=90 npm run kernels:build",
  );
  build(90);
  expect(plan(nanoModel, "cuda", gpuOf(24), { experts: "auto" })).toMatchObject({ kind: "cuda", experts: "modality-moe" });
});
