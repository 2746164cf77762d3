// A Hugging Face checkpoint folder as one set of tensors under the hub's original names, whatever the layout on disk.

import { statSync } from "node:fs";
import { join } from "node:path";
import { checkpointName } from "../core/checkpoint-name.ts";
import { concatFloats } from "../core/concat-floats.ts";
import { assert, UserError } from "../core/errors.ts";
import {
  manifestFormat,
  manifestFormatVersion,
  onnxRuntimeVersion,
  type CheckpointLayout,
  type ConversionSettings,
  type Manifest,
} from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { toPieces, type NativeTensor, type TensorPiece } from "./native-layout.ts";
import { readModelConfig } from "./read-config.ts";
import type { TensorEntry } from "./safetensors.ts";
import { openShards, type Shards, type StoredTensor } from "./shards.ts";
import { headName, isSpare, layoutOf, listNames, locateTensor } from "./stored-names.ts";

const embeddingName = "model.embed_tokens.weight";

/**
 * Reads config.json (or takes `knownConfig`, the result of an earlier call) and the headers of all shards. Throws a UserError when the
 * folder is not a complete checkpoint.
 */
export function openCheckpoint(folder: string, knownConfig?: ModelConfig): Checkpoint {
  const config = knownConfig ?? readModelConfig(folder);
  const shards = openShards(folder);
  try {
    return new Checkpoint(folder, config, shards, knownConfig === undefined);
  } catch (error) {
    shards.close();
    throw error;
  }
}

export class Checkpoint {
  /** What config.json says, except that a stored LM head that differs from the embedding counts as untied. */
  readonly config: ModelConfig;
  readonly layout: CheckpointLayout;
  /** Notes for the operator about this checkpoint. */
  readonly notes: readonly string[];
  readonly companionFolder: string;
  readonly #folder: string;
  readonly #shards: Shards;
  /** Stored name → start → element count of the pieces used. */
  readonly #used = new Map<string, Map<number, number>>();

  constructor(folder: string, config: ModelConfig, shards: Shards, checkHead: boolean) {
    this.companionFolder = folder;
    this.#folder = folder;
    this.#shards = shards;
    this.config = config;
    this.notes = [];
    this.layout = layoutOf(shards.tensors);
    if (checkHead && config.text.tiedEmbedding && this.has(headName) && !this.#headEqualsEmbedding()) {
      this.config = { ...config, text: { ...config.text, tiedEmbedding: false } };
      this.notes = ["config.json ties the LM head to the embedding, but lm_head.weight differs from it: the stored LM head is used"];
    }
  }

  has(hubName: string): boolean {
    const tensor = this.#locate(hubName);
    return (tensor.type === "rows" ? tensor.names : [tensor.name]).every((name) => this.#shards.tensors.has(name));
  }

  /**
   * The tensor as float32 in the hub's orientation. `shape` is what the caller expects there.
   * Throws a UserError when the tensor is missing or has another shape.
   */
  read(hubName: string, shape: readonly number[]): Float32Array {
    const tensor = this.#locate(hubName);
    const pieces = this.#use(tensor, shape).map(({ entry, start, count }) => entry.file.readFloat32(entry, start, count));
    const values = pieces.length === 1 ? pieces[0]! : concatFloats(pieces);
    return tensor.type === "transposed" ? transpose(values, shape) : values;
  }

  /**
   * Elements [start, start + count) of the tensor in row-major order. With a count of 0 nothing is read, but the tensor is checked
   * and counts as used. Throws as `read` does.
   */
  readRange(hubName: string, shape: readonly number[], start: number, count: number): Float32Array {
    const tensor = this.#locate(hubName);
    const [piece] = this.#use(tensor, shape);
    if (count === 0) return new Float32Array();
    assert(tensor.type === "whole" || tensor.type === "expert", `part of ${hubName}, which is stored ${tensor.type}, cannot be read alone`);
    return piece!.entry.file.readFloat32(piece!.entry, piece!.start + start, count);
  }

  /** Throws a UserError when the checkpoint holds weights that nothing read: the converted model would not be the one that was trained. */
  finish(): void {
    const unread = [...this.#shards.tensors.values()].filter((entry) => !this.#isUsed(entry)).map(({ name }) => name);
    if (unread.length === 0) return;
    throw new UserError(
      `${this.#folder}: tensors that config.json does not imply: ${listNames(unread)}; do config.json and the weights belong to the same model?`,
    );
  }

  /** The manifest without `files`. */
  manifest(settings: ConversionSettings, programVersion: string): Omit<Manifest, "files"> {
    const files = [...this.#shards.fileNames, "config.json"];
    return {
      format: manifestFormat,
      formatVersion: manifestFormatVersion,
      createdBy: programVersion,
      onnxruntime: onnxRuntimeVersion,
      source: {
        name: checkpointName(this.#folder),
        layout: this.layout,
        files: Object.fromEntries(files.map((name) => [name, { bytes: statSync(join(this.#folder, name)).size }])),
      },
      settings,
      config: this.config,
    };
  }

  close(): void {
    this.#shards.close();
  }

  #locate(hubName: string): NativeTensor {
    return locateTensor(this.#shards.tensors, this.layout, hubName, this.config.moe.expertCount);
  }

  /** Where the tensor is stored; throws unless all of it is, in the right shape. */
  #use(tensor: NativeTensor, hubShape: readonly number[]): (TensorPiece & { readonly entry: StoredTensor })[] {
    return toPieces(tensor, hubShape, this.config.moe.expertCount).map((piece) => {
      const { name, shape, start, count } = piece;
      const entry = this.#shards.tensors.get(name);
      if (entry === undefined) {
        throw new UserError(`${this.#folder}: tensor ${name} [${shape.join(", ")}] is missing; is the checkpoint complete?`);
      }
      if (entry.shape.join() !== shape.join()) {
        const shapes = `expected shape [${shape.join(", ")}] as in config.json, got [${entry.shape.join(", ")}]`;
        throw new UserError(`${this.#folder}: ${name}: ${shapes}; config.json and the weights belong to different models`);
      }
      const used = this.#used.get(name) ?? new Map<number, number>();
      this.#used.set(name, used.set(start, count));
      return { ...piece, entry };
    });
  }

  #isUsed({ name, elementCount }: TensorEntry): boolean {
    if (isSpare(name, this.config.text.tiedEmbedding)) return true;
    const usedCount = [...(this.#used.get(name)?.values() ?? [])].reduce((sum, count) => sum + count, 0);
    return usedCount === elementCount && this.#used.has(name);
  }

  #headEqualsEmbedding(): boolean {
    const head = this.#shards.tensors.get(headName);
    const { name } = this.#locate(embeddingName) as { name: string };
    const embedding = this.#shards.tensors.get(name);
    if (!head || !embedding || head.shape.join() !== embedding.shape.join()) return false;
    const step = 2 ** 24;
    for (let start = 0; start < head.elementCount; start += step) {
      const count = Math.min(step, head.elementCount - start);
      const a = new Uint32Array(head.file.readFloat32(head, start, count).buffer);
      const b = new Uint32Array(embedding.file.readFloat32(embedding, start, count).buffer);
      for (let i = 0; i < count; i++) if (a[i] !== b[i]) return false;
    }
    return true;
  }
}

/** [columns, rows] → [rows, columns] */
function transpose(values: Float32Array, [rows = 0, columns = 0]: readonly number[]): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[r * columns + c] = values[c * rows + r]!;
  return out;
}
