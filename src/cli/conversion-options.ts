// Options of all commands that may convert a checkpoint.

import { Option } from "commander";
import { activationFormats, expertChoices, weightFormats } from "../core/manifest.ts";

export const weightsOption = (): Option =>
  new Option(
    "--weights <format>",
    "precision of the weights when a checkpoint is converted: int4 rounds routed experts to 4 bits and the rest to 8, int4-all nearly all to 4 (default: int4)",
  ).choices(weightFormats);

export const activationsOption = (fallback: string): Option =>
  new Option(
    "--activations <format>",
    `type of activations and KV cache when a checkpoint is converted; a CPU computes fp32 or fp16, a GPU bf16 or fp16 (default: ${fallback})`,
  ).choices(activationFormats);

export const expertsOption = (): Option =>
  new Option("--experts <operator>", "what computes experts and linear layers: our own kernels (npm run kernels:build) or ONNX Runtime's")
    .choices(expertChoices)
    .default("auto");
