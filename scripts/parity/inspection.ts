// Runs a whole prompt through graphs built for inspection and returns what each stage computed.

import { join } from "node:path";
import type { SlotId } from "../../src/core/batch.ts";
import { concatFloats } from "../../src/core/concat-floats.ts";
import { decoderIo, graphFiles, inspectIo, visionIo } from "../../src/core/graph-io.ts";
import { activationDataType, type ActivationFormat, type Manifest } from "../../src/core/manifest.ts";
import { slicePrompt, type EncodedPrompt, type PromptPart } from "../../src/core/prompt.ts";
import { fromBfloat16, fromFloat16 } from "../../src/core/half.ts";
import { Decoder } from "../../src/model/decoder.ts";
import { KvCache } from "../../src/model/kv-cache.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { TensorBuffer } from "../../src/model/tensor-buffer.ts";
import { VisionEncoder } from "../../src/model/vision-encoder.ts";
import type { DeviceKind, Memory } from "../../src/runtime/device.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import type { Binding } from "../../src/runtime/session.ts";

/** The reference's stage name → values, flat. Routing is per layer. */
export type Stages = ReadonlyMap<string, Float32Array | Int32Array>;

const capacity = 4096;

type Wanted = { readonly name: string; readonly dtype: "act" | "float32" | "int64"; readonly shape: readonly number[] };

export class Inspection {
  readonly #runtime: Runtime;
  readonly #manifest: Manifest;
  readonly #decoder: Decoder;
  readonly #vision: VisionEncoder;

  constructor(folder: string, manifest: Manifest, device: DeviceKind = "cpu") {
    this.#runtime = Runtime.open(device);
    this.#manifest = manifest;
    const { config, settings } = manifest;
    const dtype = activationDataType[settings.activations];
    const customOpsLibrary = findKernelLibrary();
    const options = { threadCount: 0, ...(customOpsLibrary && { customOpsLibrary }) };
    const open = (file: string) => this.#runtime.openSession(join(folder, file), options);
    const session = open(graphFiles.decoder);
    const cache = new KvCache(this.#runtime, session, config.text, dtype, { slotCount: 1, capacity });
    this.#vision = new VisionEncoder(this.#runtime, open(graphFiles.vision), config, dtype, 1 << 28);
    this.#decoder = new Decoder(this.#runtime, { cache, vision: this.#vision }, config.text, dtype, { maxTokens: capacity, maxBatch: 1 });
  }

  run(prompt: EncodedPrompt): Stages {
    return new Map([...this.#runVision(prompt), ...this.#runDecoder(prompt)]);
  }

  /** [positions, vocab], of any converted model, whether or not it was built for inspection; `chunkTokens` positions are computed at a time. */
  logits(prompt: EncodedPrompt, chunkTokens = prompt.tokenIds.length): Float32Array {
    const { vocabSize } = this.#manifest.config.text;
    const logits = new Float32Array(prompt.tokenIds.length * vocabSize);
    for (let start = 0; start < prompt.tokenIds.length; start += chunkTokens) {
      const chunk = slicePrompt(prompt, start, Math.min(chunkTokens, prompt.tokenIds.length - start));
      const outputs = this.#prefill(chunk, [{ name: decoderIo.logits, dtype: "float32", shape: [chunk.tokenIds.length, vocabSize] }]);
      logits.set(outputs.read(decoderIo.logits) as Float32Array, start * vocabSize);
      outputs.dispose();
    }
    return logits;
  }

  #runVision(prompt: EncodedPrompt): Map<string, Float32Array> {
    const { config } = this.#manifest;
    const towers: Float32Array[] = [];
    const rows: Float32Array[] = [];
    for (const { image, length } of prompt.spans) {
      const patchCount = image.patchRows * image.patchColumns;
      const wanted = [
        {
          name: visionIo.nextHidden,
          dtype: "act" as const,
          shape: [image.frameCount, patchCount, config.vision.hiddenSize],
        },
      ];
      const outputs = new Outputs(this.#runtime, this.#manifest, wanted);
      this.#vision.run(image, (binding) => outputs.bind(binding)).dispose();
      towers.push(outputs.read(visionIo.nextHidden) as Float32Array);
      // Layer by layer, as a server computes large pictures.
      while (!this.#vision.has(image)) this.#vision.advance(image, 1);
      rows.push(this.#fromActivation(this.#vision.encode(image), length * config.text.hiddenSize));
      outputs.dispose();
    }
    return towers.length === 0
      ? new Map()
      : new Map([["vision_tower", concatFloats(towers)] as const, ["resampler", concatFloats(rows)] as const]);
  }

  /** The first `count` elements of a graph's output on the device. */
  #fromActivation(memory: Memory, count: number): Float32Array {
    const { activations } = this.#manifest.settings;
    const host = this.#runtime.device.allocateHost(memory.byteLength);
    this.#runtime.device.copy({ memory: host, offset: 0 }, { memory, offset: 0 }, memory.byteLength);
    this.#runtime.device.synchronize();
    const bytes = host.bytes.slice(0);
    host.dispose();
    return activations === "fp32" ? new Float32Array(bytes, 0, count) : fromHalf(new Uint16Array(bytes, 0, count), activations);
  }

  #runDecoder(prompt: EncodedPrompt): Map<string, Float32Array | Int32Array> {
    const { text, moe } = this.#manifest.config;
    const count = prompt.tokenIds.length;
    // Our own operator routes inside.
    const isVisible = this.#manifest.settings.experts !== "modality-moe";
    const sparse = moe.sparseLayers.flatMap((isSparse, layer) => (isSparse && isVisible ? [layer] : []));
    const wanted: Wanted[] = [
      { name: inspectIo.inputsEmbeds, dtype: "act", shape: [1, count, text.hiddenSize] },
      { name: decoderIo.logits, dtype: "float32", shape: [count, text.vocabSize] },
      ...Array.from({ length: text.layerCount }, (_, layer) => ({
        name: inspectIo.hidden(layer),
        dtype: "act" as const,
        shape: [1, count, text.hiddenSize],
      })),
      ...sparse.flatMap((layer): Wanted[] => [
        { name: inspectIo.routerProbs(layer), dtype: "float32", shape: [count, 2 * moe.expertCount] },
        { name: inspectIo.routerLogits(layer), dtype: "float32", shape: [count, 2 * moe.expertCount] },
        { name: inspectIo.routerSelected(layer), dtype: "int64", shape: [count, moe.topK] },
      ]),
    ];
    const outputs = this.#prefill({ ...prompt, start: 0 }, wanted);
    const stages = new Map<string, Float32Array | Int32Array>([
      ["inputs_embeds", outputs.read(inspectIo.inputsEmbeds)],
      ["logits", outputs.read(decoderIo.logits)],
    ]);
    for (let layer = 0; layer < text.layerCount; layer++) stages.set(`hidden.layer${layer}`, outputs.read(inspectIo.hidden(layer)));
    for (const layer of sparse) {
      for (const [name, values] of routing(outputs, layer, prompt.visionExpert, moe)) stages.set(`router.layer${layer}.${name}`, values);
    }
    outputs.dispose();
    return stages;
  }

  /** Computes part of a prompt with the logits of every position, and waits for it. */
  #prefill(part: PromptPart, wanted: readonly Wanted[]): Outputs {
    const count = part.tokenIds.length;
    const outputs = new Outputs(this.#runtime, this.#manifest, wanted);
    const everyRow = new TensorBuffer(this.#runtime, "int64", count);
    for (let i = 0; i < count; i++) everyRow.data[i] = BigInt(i);
    const entry = { ...part, slot: 0 as SlotId, draw: undefined };
    this.#decoder.prefill(entry, (binding) => {
      binding.input(decoderIo.logitRows, everyRow.shaped(count));
      outputs.bind(binding);
    });
    this.#runtime.device.synchronize();
    everyRow.dispose();
    return outputs;
  }
}

/** Our tables cover both banks; the reference's cover the token's own bank. */
function routing(
  outputs: Outputs,
  layer: number,
  visionExpert: Uint8Array,
  { expertCount, topK }: { expertCount: number; topK: number },
): Map<string, Float32Array | Int32Array> {
  const count = visionExpert.length;
  const allProbs = outputs.read(inspectIo.routerProbs(layer));
  const logits = outputs.read(inspectIo.routerLogits(layer));
  const chosen = outputs.read(inspectIo.routerSelected(layer));
  const probs = new Float32Array(count * expertCount);
  const selected = new Int32Array(count * topK);
  const weights = new Float32Array(count * topK);
  for (let token = 0; token < count; token++) {
    const bankStart = visionExpert[token] ? expertCount : 0;
    const row = token * 2 * expertCount;
    probs.set(allProbs.subarray(row + bankStart, row + bankStart + expertCount) as Float32Array, token * expertCount);
    const experts = Array.from({ length: topK }, (_, k) => chosen[token * topK + k]!);
    const powers = experts.map((expert) => Math.exp(logits[row + expert]! - logits[row + experts[0]!]!));
    const sum = powers.reduce((a, b) => a + b, 0);
    experts.forEach((expert, k) => {
      selected[token * topK + k] = expert - bankStart;
      weights[token * topK + k] = powers[k]! / sum;
    });
  }
  return new Map<string, Float32Array | Int32Array>([
    ["probs", probs],
    ["selected", selected],
    ["weights", weights],
  ]);
}

/** Buffers for extra outputs of one run. */
class Outputs {
  readonly #activations: ActivationFormat;
  readonly #buffers = new Map<string, { wanted: Wanted; buffer: TensorBuffer }>();

  constructor(runtime: Runtime, manifest: Manifest, wanted: readonly Wanted[]) {
    this.#activations = manifest.settings.activations;
    const activation = activationDataType[this.#activations];
    for (const item of wanted) {
      const count = item.shape.reduce((a, b) => a * b, 1);
      const dtype = item.dtype === "act" ? activation : item.dtype;
      this.#buffers.set(item.name, { wanted: item, buffer: new TensorBuffer(runtime, dtype, count) });
    }
  }

  bind(binding: Binding): void {
    for (const [name, { wanted, buffer }] of this.#buffers) binding.output(name, buffer.shaped(...wanted.shape));
  }

  read(name: string): Float32Array | Int32Array {
    const { data } = this.#buffers.get(name)!.buffer;
    if (data instanceof Float32Array) return data.slice();
    if (data instanceof Uint16Array) return fromHalf(data, this.#activations);
    return Int32Array.from(data as BigInt64Array, Number);
  }

  dispose(): void {
    for (const { buffer } of this.#buffers.values()) buffer.dispose();
  }
}

function fromHalf(values: Uint16Array, activations: ActivationFormat): Float32Array {
  return activations === "fp16" ? fromFloat16(values) : fromBfloat16(values);
}
