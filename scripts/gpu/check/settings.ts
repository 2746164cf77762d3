// Which formats are compared on a device, and how far they may be from float32.

import type { ActivationFormat, ConversionSettings } from "../../../src/core/manifest.ts";
import { findKernelLibrary } from "../../../src/runtime/kernel-library.ts";

export type Operator = "onnxruntime" | "modality-moe";

/** The CPU provider has no bfloat16. */
export function halfFormats(device: "cpu" | "cuda"): readonly ActivationFormat[] {
  return device === "cuda" ? ["bf16", "fp16"] : ["fp16"];
}

/** Throws an Error when the operator's library is not built. */
export function quantized(operator: Operator, activations: ActivationFormat): ConversionSettings {
  if (operator === "onnxruntime") return { weights: "int4", activations };
  if (!findKernelLibrary()) throw new Error("kernels/build/libernie_kernels.so is not built: npm run kernels:build");
  return { weights: "int4", activations, experts: "modality-moe" };
}
