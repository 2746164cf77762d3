// `--device`: which device the model runs on, and why.

import { totalmem } from "node:os";
import { UserError } from "../core/errors.ts";
import { formatBytes } from "../core/format-bytes.ts";
import type { ActivationFormat } from "../core/manifest.ts";
import { usableCpus, type UsableCpus } from "../core/usable-cpus.ts";
import { probeCuda, type CudaGpu, type CudaProbe } from "../runtime/cuda/probe.ts";
import { availableMemory } from "./available-memory.ts";
import type { DeviceChoice } from "./options.ts";

export type ComputeDevice = { readonly kind: "cpu" } | { readonly kind: "cuda"; readonly gpu: CudaGpu };

/** Types of activations that a device has kernels for; the first is the default for a conversion. */
const computable = { cpu: ["fp32", "fp16"], cuda: ["bf16", "fp16"] } as const;

/**
 * "auto" takes a usable GPU, else the CPU, and says why in one line; "cuda" throws a UserError if there is no usable GPU.
 * `activations` are those of the converted model, or those that the operator asks for: not every device supports them.
 */
export function chooseDevice(
  choice: DeviceChoice,
  activations: ActivationFormat | undefined,
  say: (line: string) => void,
  probe: () => CudaProbe = probeCuda,
): ComputeDevice {
  const device = choice === "cpu" ? { kind: "cpu" as const } : findGpu(choice, activations, say, probe);
  if (!activations || canCompute(device.kind, activations)) return device;
  throw new UserError(`${whyNot(device.kind, activations)}; convert the checkpoint with --activations ${computable[device.kind][0]}`);
}

/** The default of --activations for a checkpoint. */
export function defaultActivations(kind: ComputeDevice["kind"]): ActivationFormat {
  return computable[kind][0];
}

/** One line, without its label. */
export function describeDevice(device: ComputeDevice, cpus: UsableCpus = usableCpus()): string {
  if (device.kind === "cpu") {
    return `cpu, ${describeCores(cpus)}, ${formatBytes(availableMemory().bytes)} of ${formatBytes(totalmem())} memory available`;
  }
  const { name, computeCapability, freeBytes, totalBytes, deviceCount, driverVersion, runtimeVersion } = device.gpu;
  const place = deviceCount > 1 ? `, the first of ${deviceCount} GPUs` : "";
  return (
    `cuda, ${name} (${computeCapability})${place}, ${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} memory free, ` +
    `driver for CUDA ${driverVersion}, libraries ${runtimeVersion}`
  );
}

function describeCores({ coreCount, machineCoreCount, limit }: UsableCpus): string {
  if (!limit) return `${coreCount} ${coreCount === 1 ? "core" : "cores"}`;
  return `${coreCount} of ${machineCoreCount} cores (${limit})`;
}

/** A warning about --threads; undefined if the number is fine. */
export function tooManyThreads(threadCount: number, { processorCount, limit }: UsableCpus = usableCpus()): string | undefined {
  if (threadCount <= processorCount) return undefined;
  const reason = limit ? ` (${limit})` : "";
  return `--threads ${threadCount}: only ${processorCount} can run at the same time here${reason}; more threads slow down each step`;
}

function findGpu(
  choice: "auto" | "cuda",
  activations: ActivationFormat | undefined,
  say: (line: string) => void,
  probe: () => CudaProbe,
): ComputeDevice {
  const { gpu, reason } = probe();
  if (choice === "cuda") {
    if (!gpu) throw new UserError(`--device cuda: ${reason}`);
    return { kind: "cuda", gpu };
  }
  if (!gpu) {
    say(`No usable GPU, running on the CPU: ${reason}`);
    return { kind: "cpu" };
  }
  if (activations && !canCompute("cuda", activations)) {
    say(`Running on the CPU: ${whyNot("cuda", activations)}; to use the GPU, convert the checkpoint with --activations bf16`);
    return { kind: "cpu" };
  }
  return { kind: "cuda", gpu };
}

function whyNot(kind: ComputeDevice["kind"], activations: ActivationFormat): string {
  return `${kind === "cpu" ? "the CPU" : "a GPU"} supports ${computable[kind].join(" and ")} activations, not ${activations}`;
}

export function canCompute(kind: ComputeDevice["kind"], activations: ActivationFormat): boolean {
  return (computable[kind] as readonly ActivationFormat[]).includes(activations);
}
