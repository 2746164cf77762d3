// A converted model that runs in this thread, answers prompts and records the inputs of its int4 matrices.

import { setImmediate } from "node:timers/promises";
import { extendPrompt } from "../../chat/extend-prompt.ts";
import { calibratedInputs } from "../../convert/calibrated-inputs.ts";
import { CalibrationWriter } from "../../convert/calibration-file.ts";
import type { SlotId } from "../../core/batch.ts";
import { assert, EngineError } from "../../core/errors.ts";
import { calibrationIo } from "../../core/graph-io.ts";
import type { Manifest } from "../../core/manifest.ts";
import type { TextConfig } from "../../core/model-config.ts";
import { slicePrompt, type EncodedPrompt } from "../../core/prompt.ts";
import { greedy } from "../../core/sampling.ts";
import { Engine } from "../../engine/engine.ts";
import type { SequenceId } from "../../engine/engine-protocol.ts";
import { ErnieModel } from "../../model/ernie-model.ts";
import { TensorBuffer } from "../../model/tensor-buffer.ts";
import { readManifest } from "../../model-folder.ts";
import { Runtime } from "../../runtime/runtime.ts";

/** Prompts that are answered at the same time. */
export const slotCount = 8;
const maxSlotCapacity = 4096;
/** Tokens of one step: it must end well within the time after which another process takes this one for dead. */
const chunkTokens = 128;
const imageCacheBytes = 2 ** 28;

/** The most tokens of a prompt with its answer. */
export function calibrationContextLength({ maxPositions }: TextConfig): number {
  return Math.min(maxSlotCapacity, maxPositions);
}

export type CalibrationRun = {
  /** Called with the tokens that were read, generated or recorded since the last call. */
  readonly onTokens: (count: number) => void;
  readonly signal: AbortSignal;
};

export class ProbeModel {
  readonly manifest: Manifest;
  readonly #runtime = new Runtime();
  readonly #model: ErnieModel;
  readonly #engine: Engine;
  #submitted = 0;

  /** `folder` holds a model converted with `probe` and float32 activations. */
  constructor(folder: string) {
    this.manifest = readManifest(folder);
    assert(this.manifest.settings.activations === "fp32", "a probe computes in float32");
    this.#model = new ErnieModel(this.#runtime, folder, this.manifest.config, "float32", {
      threadCount: 0,
      slotCount,
      slotCapacity: calibrationContextLength(this.manifest.config.text),
      prefillChunkTokens: chunkTokens,
      imageCacheBytes,
    });
    // Without a target: the answers must not depend on how fast this machine is.
    this.#engine = new Engine(this.#model, { prefillChunkTokens: chunkTokens, prefillTargetMs: Infinity, maxWaiting: slotCount });
  }

  /** Answers up to `slotCount` prompts at temperature 1. The same prompts in the same order get the same answers. */
  async answer(prompts: readonly EncodedPrompt[], maxTokens: number, { onTokens, signal }: CalibrationRun): Promise<EncodedPrompt[]> {
    const first = this.#submitted;
    const answers: number[][] = prompts.map(() => []);
    const { eos } = this.manifest.config.tokens;
    for (const prompt of prompts) {
      const id = this.#submitted++ as SequenceId;
      this.#engine.submit(id, { prompt, sampling: { ...greedy, temperature: 1, seed: id }, maxTokens, stopTokenIds: eos });
      onTokens(prompt.tokenIds.length);
    }
    while (this.#engine.hasWork()) {
      await setImmediate(); // signals and progress get their turn
      signal.throwIfAborted();
      for (const [id, event] of this.#engine.step()) {
        if (event.type === "failed") throw new EngineError(event.message);
        if (event.type !== "token" || eos.includes(event.tokenId)) continue;
        answers[id - first]!.push(event.tokenId);
        onTokens(1);
      }
    }
    return prompts.map((prompt, i) => extendPrompt(prompt, answers[i]!));
  }

  /** Writes a calibration file: the values of each calibrated input for every token of every sequence, in order. */
  async record(sequences: readonly EncodedPrompt[], path: string, { onTokens, signal }: CalibrationRun): Promise<void> {
    const { config, settings } = this.manifest;
    const inputs = calibratedInputs(config, settings.weights);
    const visionExpert = Uint8Array.from(sequences.flatMap((sequence) => [...sequence.visionExpert]));
    const writer = new CalibrationWriter(path, { inputs, visionExpert });
    const outputs = [...inputs].map(([name, width]) => ({
      name,
      width,
      buffer: new TensorBuffer(this.#runtime, "float32", chunkTokens * width),
    }));
    let isComplete = false;
    try {
      let recorded = 0;
      for (const { sequence, start, count } of chunksOf(sequences)) {
        await setImmediate();
        signal.throwIfAborted();
        this.#model.step(
          { type: "prefill", entry: { ...slicePrompt(sequence, start, count), slot: 0 as SlotId, draw: undefined } },
          (binding) => {
            for (const { name, width, buffer } of outputs) binding.output(calibrationIo.input(name), buffer.shaped(1, count, width));
          },
        );
        for (const { name, width, buffer } of outputs) writer.append(name, recorded, buffer.data.subarray(0, count * width));
        recorded += count;
        onTokens(count);
      }
      writer.finish();
      isComplete = true;
    } finally {
      if (!isComplete) writer.discard();
      for (const { buffer } of outputs) buffer.dispose();
    }
  }

  dispose(): void {
    this.#model.dispose();
    this.#runtime.dispose();
  }
}

type Chunk = { readonly sequence: EncodedPrompt; readonly start: number; readonly count: number };

function chunksOf(sequences: readonly EncodedPrompt[]): Chunk[] {
  return sequences.flatMap((sequence) => {
    const { length } = sequence.tokenIds;
    return Array.from({ length: Math.ceil(length / chunkTokens) }, (_, i) => {
      const start = i * chunkTokens;
      return { sequence, start, count: Math.min(chunkTokens, length - start) };
    });
  });
}
