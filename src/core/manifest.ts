// The content of `manifest.json` in a converted model folder. The converter writes it, the server reads it.

import type { ModelConfig } from "./model-config.ts";

export const manifestFileName = "manifest.json";
export const manifestFormat = "ernie-vl";
/** Raised whenever folders of the previous version can no longer be served. */
export const manifestFormatVersion = 3;
/** The ONNX Runtime that the graphs are written for and tested with. */
export const onnxRuntimeVersion = "1.29.0";

export const weightFormats = ["fp32", "int8", "int4", "int4-all"] as const;
export const activationFormats = ["fp32", "fp16", "bf16"] as const;
export const checkpointLayouts = ["hub", "native"] as const;

export type WeightFormat = (typeof weightFormats)[number];
export type ActivationFormat = (typeof activationFormats)[number];
/** How a checkpoint names its tensors: as Baidu publishes them, or as transformers holds them in memory. */
export type CheckpointLayout = (typeof checkpointLayouts)[number];

/** Element type of activations, KV cache, norms and scales. */
export const activationDataType = { fp32: "float32", fp16: "float16", bf16: "bfloat16" } as const;

export type ConversionSettings = {
  readonly weights: WeightFormat;
  readonly activations: ActivationFormat;
  /** Operators of our own library (kernels/) compute experts and linear layers; absent: ONNX Runtime's do. */
  readonly experts?: "modality-moe";
};

/** Which operator computes the experts; "auto" takes our own if it has been built. */
export const expertChoices = ["auto", "modality-moe", "onnxruntime"] as const;
export type ExpertChoice = (typeof expertChoices)[number];

/** Has no times and no paths of the machine, so that equal checkpoints and settings give equal bytes. */
export type Manifest = {
  readonly format: typeof manifestFormat;
  readonly formatVersion: typeof manifestFormatVersion;
  /** Version of this program that did the conversion. */
  readonly createdBy: string;
  readonly onnxruntime: string;
  readonly source: {
    /** Name of the checkpoint's folder, without the path to it. */
    readonly name: string;
    readonly layout: CheckpointLayout;
    readonly files: Readonly<Record<string, { readonly bytes: number }>>;
  };
  readonly settings: ConversionSettings;
  /** The calibration run that int4 was rounded for: `sha256` of its file in hex; absent when there was none. */
  readonly calibration?: { readonly sha256: string; readonly tokenCount: number };
  readonly config: ModelConfig;
  /** Every other file of the folder; `sha256` in hex. */
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;
};
