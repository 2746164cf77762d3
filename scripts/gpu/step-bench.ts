// Times single steps of the model at a given context, in this thread without the engine.

import type { BatchEntry, SlotId } from "../../src/core/batch.ts";
import { activationDataType, type Manifest } from "../../src/core/manifest.ts";
import { greedy } from "../../src/core/sampling.ts";
import { median } from "../../src/loadgen/percentiles.ts";
import { ErnieModel, type ErnieModelOptions } from "../../src/model/ernie-model.ts";
import type { DeviceKind } from "../../src/runtime/device.ts";
import { Runtime } from "../../src/runtime/runtime.ts";

const firstTextId = 32;

export class StepBench {
  readonly #model: ErnieModel;
  readonly #vocabSize: number;
  readonly #chunkTokens: number;
  #seed = 0;

  constructor(folder: string, { config, settings }: Manifest, device: DeviceKind, options: ErnieModelOptions) {
    this.#vocabSize = config.text.vocabSize;
    this.#chunkTokens = options.prefillChunkTokens;
    this.#model = new ErnieModel(Runtime.open(device), folder, config, activationDataType[settings.activations], options);
  }

  /** Gives each slot the same `context` tokens: computed once, then copied. */
  fill(context: number): void {
    for (let start = 0; start < context; start += this.#chunkTokens) {
      const count = Math.min(this.#chunkTokens, context - start);
      this.#model.step({ type: "prefill", entry: this.#entry(0, start, count) });
    }
    for (let slot = 1; slot < this.#model.slotCount; slot++) this.#model.copySlot(0 as SlotId, slot as SlotId, context);
  }

  /** Median milliseconds of a step that adds one token to each of `streams` sequences of `context` tokens, which `fill` has put there. */
  decodeMs(streams: number, context: number, rounds: number): number {
    return medianMs(rounds, () => this.decodeOnce(streams, context));
  }

  decodeOnce(streams: number, context: number): void {
    const entries = Array.from({ length: streams }, (_, slot) => this.#entry(slot, context, 1));
    this.#model.step({ type: "decode", entries });
  }

  /** Median milliseconds of a prompt's chunk of `tokens` tokens after `context` others. */
  prefillMs(tokens: number, context: number, rounds: number): number {
    return medianMs(rounds, () => void this.#model.step({ type: "prefill", entry: this.#entry(0, context, tokens) }));
  }

  dispose(): void {
    this.#model.dispose();
  }

  #entry(slot: number, start: number, count: number): BatchEntry {
    const tokenIds = Int32Array.from({ length: count }, () => this.#nextTokenId());
    const positions = Int32Array.from({ length: 3 * count }, (_, i) => start + (i % count));
    const draw = { params: greedy, drawIndex: 0 };
    return { slot: slot as SlotId, start, tokenIds, positions, visionExpert: new Uint8Array(count), spans: [], draw };
  }

  #nextTokenId(): number {
    this.#seed = (Math.imul(this.#seed, 1664525) + 1013904223) >>> 0;
    return firstTextId + ((this.#seed >>> 8) % (this.#vocabSize - firstTextId));
  }
}

/** Two rounds of warm-up: the first profiles kernels, the second captures a graph where there are graphs. */
function medianMs(rounds: number, run: () => void): number {
  for (let i = 0; i < 3; i++) run();
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return median(times);
}
