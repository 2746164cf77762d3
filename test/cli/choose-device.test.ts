import { describe, expect, test } from "vitest";
import { chooseDevice, defaultActivations, describeDevice, tooManyThreads } from "../../src/cli/choose-device.ts";
import type { DeviceChoice } from "../../src/cli/options.ts";
import { UserError } from "../../src/core/errors.ts";
import type { UsableCpus } from "../../src/core/usable-cpus.ts";
import type { ActivationFormat } from "../../src/core/manifest.ts";
import type { CudaProbe } from "../../src/runtime/cuda/probe.ts";

const gpu = {
  name: "NVIDIA H200",
  computeCapability: "9.0",
  totalBytes: 140 * 2 ** 30,
  freeBytes: 139 * 2 ** 30,
  driverVersion: "13.0",
  deviceCount: 1,
  runtimeVersion: "13.0",
  providerPath: "provider.so",
  pageBytes: 2 ** 21,
  canReserve: () => true,
};
const reason = "no NVIDIA driver found (libcuda.so.1); install it";

function choose(choice: DeviceChoice, activations: ActivationFormat | undefined, probe: CudaProbe) {
  const lines: string[] = [];
  const { kind } = chooseDevice(
    choice,
    activations,
    (line) => lines.push(line),
    () => probe,
  );
  return { kind, lines };
}

describe("auto", () => {
  test.each([undefined, "bf16", "fp16"] as const)("takes the GPU where one can be used (activations: %s)", (activations) => {
    expect(choose("auto", activations, { gpu })).toEqual({ kind: "cuda", lines: [] });
  });

  test("falls back to the CPU and says why in one line", () => {
    expect(choose("auto", undefined, { reason })).toEqual({
      kind: "cpu",
      lines: [`No usable GPU, running on the CPU: ${reason}`],
    });
  });

  test("falls back to the CPU for a model that only the CPU computes, and says so", () => {
    const { kind, lines } = choose("auto", "fp32", { gpu });

    expect(kind).toBe("cpu");
    expect(lines).toEqual([
      "Running on the CPU: a GPU supports bf16 and fp16 activations, not fp32; to use the GPU, convert the checkpoint with --activations bf16",
    ]);
  });
});

describe("a device that was asked for", () => {
  test("is never another one", () => {
    expect(() => choose("cuda", undefined, { reason })).toThrow(new UserError(`--device cuda: ${reason}`));
    expect(choose("cpu", undefined, { gpu })).toEqual({ kind: "cpu", lines: [] });
  });

  test("is not looked for when it is the CPU", () => {
    const probe = () => {
      throw new Error("looked");
    };
    expect(chooseDevice("cpu", undefined, () => {}, probe)).toEqual({ kind: "cpu" });
  });

  test.each([
    ["cuda", "fp32", "a GPU supports bf16 and fp16 activations, not fp32; convert the checkpoint with --activations bf16"],
    ["cpu", "bf16", "the CPU supports fp32 and fp16 activations, not bf16; convert the checkpoint with --activations fp32"],
  ] as const)("%s refuses a model of %s activations with what to do", (choice, activations, message) => {
    expect(() => choose(choice, activations, { gpu })).toThrow(new UserError(message));
  });
});

test("a model that only a GPU computes is refused where auto finds none", () => {
  expect(() => choose("auto", "bf16", { reason })).toThrow(UserError);
});

test("checkpoints are converted for what the device computes best", () => {
  expect(defaultActivations("cpu")).toBe("fp32");
  expect(defaultActivations("cuda")).toBe("bf16");
});

test("a device is described in one line", () => {
  expect(describeDevice({ kind: "cuda", gpu })).toBe(
    "cuda, NVIDIA H200 (9.0), 139.0 GiB of 140.0 GiB memory free, driver for CUDA 13.0, libraries 13.0",
  );
  expect(describeDevice({ kind: "cuda", gpu: { ...gpu, deviceCount: 8 } })).toContain("NVIDIA H200 (9.0), the first of 8 GPUs, 139.0 GiB");
  expect(describeDevice({ kind: "cpu" })).toMatch(/^cpu, \d+ (of \d+ )?cores?.*, .* of .* memory available$/);
});

const limited: UsableCpus = { processorCount: 4, coreCount: 2, machineCoreCount: 64, limit: "CPU quota" };

test.each<[string, Partial<UsableCpus>]>([
  ["cpu, 2 of 64 cores (CPU quota), ", {}],
  ["cpu, 2 of 64 cores (CPU affinity), ", { limit: "CPU affinity" }],
  ["cpu, 64 cores, ", { limit: undefined, coreCount: 64 }],
  ["cpu, 1 core, ", { limit: undefined, coreCount: 1 }],
])("a CPU is described by the cores that can be used: %s", (expected, cpus) => {
  expect(describeDevice({ kind: "cpu" }, { ...limited, ...cpus })).toContain(expected);
});

test("more threads than can run are told of, a second one on each core is not", () => {
  expect(tooManyThreads(4, limited)).toBeUndefined();
  expect(tooManyThreads(5, limited)).toBe(
    "--threads 5: only 4 can run at the same time here (CPU quota); more threads slow down each step",
  );
  expect(tooManyThreads(5, { ...limited, limit: undefined })).toContain("time here; more");
});
