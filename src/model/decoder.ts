// One run of the decoder graph: batch entries → its flat inputs → logits.

import { elementBytes, type DataType } from "../core/data-type.ts";
import type { BatchEntry } from "../core/batch.ts";
import { assert } from "../core/errors.ts";
import { decoderIo } from "../core/graph-io.ts";
import type { TextConfig } from "../core/model-config.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Binding } from "../runtime/session.ts";
import type { KvCache } from "./kv-cache.ts";
import { TensorBuffer } from "./tensor-buffer.ts";
import type { VisionEncoder } from "./vision-encoder.ts";

export class Decoder {
  readonly #config: TextConfig;
  readonly #dtype: DataType;
  readonly #cache: KvCache;
  readonly #vision: VisionEncoder;
  readonly #maxTokens: number;
  readonly #buffers;
  readonly #boundShapes = new Map<Binding, string>();

  /** `maxTokens`: the most tokens one run takes; `maxRows`: the most rows of logits. */
  constructor(
    runtime: Runtime,
    parts: { readonly cache: KvCache; readonly vision: VisionEncoder },
    config: TextConfig,
    dtype: DataType,
    limits: { readonly maxTokens: number; readonly maxRows: number },
  ) {
    const { maxTokens, maxRows } = limits;
    this.#config = config;
    this.#dtype = dtype;
    this.#cache = parts.cache;
    this.#vision = parts.vision;
    this.#maxTokens = maxTokens;
    this.#buffers = {
      inputIds: new TensorBuffer(runtime, "int64", maxTokens),
      visionFeatures: new TensorBuffer(runtime, dtype, maxTokens * config.hiddenSize),
      visionRow: new TensorBuffer(runtime, "int64", maxTokens),
      positions: new TensorBuffer(runtime, "int64", 3 * maxTokens),
      visionExpert: new TensorBuffer(runtime, "bool", maxTokens),
      seqlensK: new TensorBuffer(runtime, "int32", maxRows),
      total: new TensorBuffer(runtime, "int32", 1),
      logitRows: new TensorBuffer(runtime, "int64", maxRows),
      logits: new TensorBuffer(runtime, "float32", maxRows * config.vocabSize),
    };
  }

  /** Native memory float32 [maxRows, vocab]: what the last run put out. */
  get logits(): TensorBuffer<"float32"> {
    return this.#buffers.logits;
  }

  /**
   * Computes entries of equal token count, in slots that follow each other, and leaves the logits of each entry's last token in
   * row i. `extraOutputs` binds the outputs of a graph built for inspection.
   */
  run(entries: readonly BatchEntry[], extraOutputs?: (binding: Binding) => void): void {
    const [first] = entries;
    assert(first, "a decoder run needs an entry");
    const length = first.tokenIds.length;
    assert(entries.length * length <= this.#maxTokens, `a run of ${entries.length} × ${length} tokens exceeds ${this.#maxTokens}`);
    const visionRowCount = this.#fillInputs(entries, length);
    const binding = this.#cache.binding(first.slot, entries.length);
    this.#bindShapes(binding, entries.length, length, Math.max(visionRowCount, 1));
    extraOutputs?.(binding);
    binding.run();
    // Other outputs than the usual ones must not outlive their buffers.
    if (extraOutputs) this.#boundShapes.delete(binding);
  }

  /** Binds tensors of these shapes. Decode steps of one batch size always have the same, so that nothing is left to do. */
  #bindShapes(binding: Binding, batch: number, length: number, visionRows: number): void {
    const shapes = `${batch},${length},${visionRows}`;
    if (this.#boundShapes.get(binding) === shapes) return;
    this.#boundShapes.set(binding, shapes);
    const { inputIds, visionFeatures, visionRow, positions, visionExpert, seqlensK, total, logitRows, logits } = this.#buffers;
    binding.input(decoderIo.inputIds, inputIds.shaped(batch, length));
    binding.input(decoderIo.visionFeatures, visionFeatures.shaped(visionRows, this.#config.hiddenSize));
    binding.input(decoderIo.visionRow, visionRow.shaped(batch, length));
    binding.input(decoderIo.positions, positions.shaped(3, batch, length));
    binding.input(decoderIo.visionExpert, visionExpert.shaped(batch, length));
    binding.input(decoderIo.seqlensK, seqlensK.shaped(batch));
    binding.input(decoderIo.totalSequenceLength, total.shaped());
    binding.input(decoderIo.logitRows, logitRows.shaped(batch));
    binding.output(decoderIo.logits, logits.shaped(batch, this.#config.vocabSize));
  }

  /** Returns the number of vision rows that the entries use. */
  #fillInputs(entries: readonly BatchEntry[], length: number): number {
    const { inputIds, positions, visionExpert, visionRow, seqlensK, total, logitRows } = this.#buffers;
    const tokenCount = entries.length * length;
    let visionRowCount = 0;
    let longest = 0;
    visionRow.data.fill(-1n, 0, tokenCount);
    entries.forEach((entry, b) => {
      assert(entry.tokenIds.length === length && entry.slot === entries[0]!.slot + b, "entries of one run must line up");
      for (let i = 0; i < length; i++) {
        inputIds.data[b * length + i] = BigInt(entry.tokenIds[i]!);
        visionExpert.data[b * length + i] = entry.visionExpert[i]!;
        for (let axis = 0; axis < 3; axis++) {
          positions.data[axis * tokenCount + b * length + i] = BigInt(entry.positions[axis * length + i]!);
        }
      }
      visionRowCount = this.#fillVision(entry, b * length, visionRowCount);
      const end = entry.start + length;
      seqlensK.data[b] = end - 1;
      longest = Math.max(longest, end);
      logitRows.data[b] = BigInt((b + 1) * length - 1);
    });
    total.data[0] = longest;
    return visionRowCount;
  }

  /** Copies the feature rows that fall into the entry's range; the row numbers go on from `rowCount`. */
  #fillVision(entry: BatchEntry, firstToken: number, rowCount: number): number {
    const rowBytes = this.#config.hiddenSize * elementBytes[this.#dtype];
    const { data } = this.#buffers.visionFeatures;
    const target = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (const span of entry.spans) {
      const from = Math.max(span.start, entry.start);
      const to = Math.min(span.start + span.length, entry.start + entry.tokenIds.length);
      if (from >= to) continue;
      const features = this.#vision.encode(span.image);
      target.set(features.subarray((from - span.start) * rowBytes, (to - span.start) * rowBytes), rowCount * rowBytes);
      for (let token = from; token < to; token++) {
        this.#buffers.visionRow.data[firstToken + token - entry.start] = BigInt(rowCount++);
      }
    }
    return rowCount;
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers)) buffer.dispose();
  }
}
