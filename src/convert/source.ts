// Where weights come from: as plain data that a worker thread can be told, and as what reads them.

import type { CheckpointLayout, ConversionSettings, Manifest } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { hashCheckpoint } from "./conversion-cache.ts";
import { openSynthetic } from "./synthetic.ts";

export type Source = { readonly type: "checkpoint"; readonly folder: string } | { readonly type: "synthetic"; readonly name: string };

/** Tensors under the hub's original names, as float32 in the hub's orientation. */
export type TensorSource = {
  readonly config: ModelConfig;
  readonly layout: CheckpointLayout;
  /** What the operator should know. */
  readonly notes: readonly string[];
  /** Where tokenizer and other small files lie. */
  readonly companionFolder: string;
  /** Throws a UserError when the tensor is missing or has another shape. */
  read(name: string, shape: readonly number[]): Float32Array;
  /** Elements [start, start + count); a count of 0 only checks the tensor and counts it as used. Throws as `read` does. */
  readRange(name: string, shape: readonly number[], start: number, count: number): Float32Array;
  /** Throws a UserError when there are tensors that nobody used. */
  finish(): void;
  /** Everything of the manifest but the files of the converted folder. */
  manifest(settings: ConversionSettings, programVersion: string): Omit<Manifest, "files">;
  close(): void;
};

/** `knownConfig` is what an earlier opening of the same source found; it saves looking again. */
export function openSource(source: Source, knownConfig?: ModelConfig): TensorSource {
  return source.type === "checkpoint" ? openCheckpoint(source.folder, knownConfig) : openSynthetic(source.name);
}

/** Differs whenever the source might hold other numbers. */
export function hashSource(source: Source): string {
  return source.type === "checkpoint" ? hashCheckpoint(source.folder) : `synthetic ${source.name}`;
}
