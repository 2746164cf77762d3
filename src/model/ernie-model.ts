// ERNIE-4.5-VL on sessions: what the engine calls to compute a step.

import { join } from "node:path";
import { entriesOf, type Batch, type ModelRunner, type SlotId, type StepResult } from "../core/batch.ts";
import type { DataType } from "../core/data-type.ts";
import { graphFiles } from "../core/graph-io.ts";
import type { ModelConfig } from "../core/model-config.ts";
import type { ImagePatches } from "../core/prompt.ts";
import { findKernelLibrary } from "../runtime/kernel-library.ts";
import type { Runtime, SessionOptions } from "../runtime/runtime.ts";
import type { Session } from "../runtime/session.ts";
import { Decoder } from "./decoder.ts";
import { KvCache } from "./kv-cache.ts";
import { Sampler } from "./sampler.ts";
import { VisionEncoder } from "./vision-encoder.ts";

export type ErnieModelOptions = SessionOptions & {
  readonly slotCount: number;
  readonly slotCapacity: number;
  /** The longest prefill chunk that will come. */
  readonly prefillChunkTokens: number;
  /** Memory for features of pictures seen before. */
  readonly imageCacheBytes: number;
};

export class ErnieModel implements ModelRunner {
  readonly slotCount: number;
  readonly slotCapacity: number;
  readonly #sessions: readonly Session[];
  readonly #cache: KvCache;
  readonly #encoder: VisionEncoder;
  readonly #decoder: Decoder;
  readonly #sampler: Sampler;

  /** Loads the graphs of a converted model folder; `dtype` is the type of its activations. */
  constructor(runtime: Runtime, folder: string, config: ModelConfig, dtype: DataType, options: ErnieModelOptions) {
    this.slotCount = options.slotCount;
    this.slotCapacity = options.slotCapacity;
    const open = (file: string, session: SessionOptions = options) => runtime.openSession(join(folder, file), session);
    // Each session has threads of its own that go on spinning for a while after a run; a second pool would take turns with them.
    const oneThread = { device: options.device, threadCount: 1 };
    const customOpsLibrary = findKernelLibrary();
    const decoder = open(graphFiles.decoder, customOpsLibrary ? { ...options, customOpsLibrary } : options);
    const [vision, sampler] = [open(graphFiles.vision), open(graphFiles.sampler, oneThread)];
    this.#sessions = [decoder, vision, sampler];
    const size = { slotCount: options.slotCount, capacity: options.slotCapacity };
    this.#cache = new KvCache(runtime, decoder, config.text, dtype, size);
    this.#encoder = new VisionEncoder(runtime, vision, config, dtype, options.imageCacheBytes);
    const limits = { maxTokens: Math.max(options.prefillChunkTokens, options.slotCount), maxRows: options.slotCount };
    this.#decoder = new Decoder(runtime, { cache: this.#cache, vision: this.#encoder }, config.text, dtype, limits);
    this.#sampler = new Sampler(runtime, sampler, config.text.vocabSize, options.slotCount);
  }

  hasFeatures(image: ImagePatches): boolean {
    return this.#encoder.has(image);
  }

  step(batch: Batch): StepResult {
    if (batch.type === "encode") {
      this.#encoder.encode(batch.image);
      return { tokenIds: [] };
    }
    const entries = entriesOf(batch);
    this.#decoder.run(entries);
    const draws = entries.map((entry) => entry.draw);
    if (draws.every((draw) => draw === undefined)) return { tokenIds: draws };
    return { tokenIds: this.#sampler.draw(this.#decoder.logits, draws) };
  }

  swapSlots(a: SlotId, lengthA: number, b: SlotId, lengthB: number): void {
    this.#cache.swap(a, lengthA, b, lengthB);
  }

  copySlot(from: SlotId, to: SlotId, length: number): void {
    this.#cache.copy(from, to, length);
  }

  dispose(): void {
    this.#sampler.dispose();
    this.#decoder.dispose();
    this.#cache.dispose();
    for (const session of this.#sessions) session.dispose();
  }
}
