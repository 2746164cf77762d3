// Pictures → the rows that replace their placeholders' embeddings; the last ones are kept by image hash.

import { LRUCache } from "lru-cache";
import { elementBytes, type DataType } from "../core/data-type.ts";
import { visionIo } from "../core/graph-io.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { spanLength, type ImagePatches } from "../core/prompt.ts";
import { gridPositions } from "../core/vision-grid.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Binding, Session } from "../runtime/session.ts";
import { TensorBuffer } from "./tensor-buffer.ts";

export class VisionEncoder {
  readonly #runtime: Runtime;
  readonly #session: Session;
  readonly #config: ModelConfig;
  readonly #dtype: DataType;
  readonly #features: LRUCache<string, Uint8Array>;

  constructor(runtime: Runtime, session: Session, config: ModelConfig, dtype: DataType, cacheBytes: number) {
    this.#runtime = runtime;
    this.#session = session;
    this.#config = config;
    this.#dtype = dtype;
    this.#features = new LRUCache({ maxSize: cacheBytes, sizeCalculation: (features) => features.byteLength });
  }

  has(image: ImagePatches): boolean {
    return this.#features.has(image.hash);
  }

  /** The bytes of act [spanLength, hidden]. */
  encode(image: ImagePatches): Uint8Array {
    const known = this.#features.get(image.hash);
    if (known) return known;
    const features = this.run(image);
    this.#features.set(image.hash, features);
    return features;
  }

  /** Encodes whether or not the features are known. `extraOutputs` binds the outputs of a graph built for inspection. */
  run(image: ImagePatches, extraOutputs?: (binding: Binding) => void): Uint8Array {
    const { text, vision } = this.#config;
    const patchCount = image.patchRows * image.patchColumns;
    const patchWidth = 3 * vision.patchSize ** 2;
    const pairs = framePairs(image.frameCount);
    const rows = spanLength(image, vision.mergeSize);
    const buffers = {
      patches: new TensorBuffer(this.#runtime, "uint8", image.patches.length),
      grid: new TensorBuffer(this.#runtime, "int64", patchCount * 2),
      pairs: new TensorBuffer(this.#runtime, "int64", pairs.length),
      features: new TensorBuffer(this.#runtime, this.#dtype, rows * text.hiddenSize),
    };
    const binding = this.#session.createBinding();
    try {
      buffers.patches.data.set(image.patches);
      buffers.grid.data.set(gridPositions(image.patchRows, image.patchColumns));
      buffers.pairs.data.set(pairs);
      binding.input(visionIo.patches, buffers.patches.shaped(image.frameCount, patchCount, patchWidth));
      binding.input(visionIo.gridPositions, buffers.grid.shaped(patchCount, 2));
      binding.input(visionIo.framePairs, buffers.pairs.shaped(pairs.length / 2, 2));
      binding.output(visionIo.features, buffers.features.shaped(rows, text.hiddenSize));
      extraOutputs?.(binding);
      binding.run();
      const { buffer, byteOffset } = buffers.features.data;
      return new Uint8Array(buffer, byteOffset, rows * text.hiddenSize * elementBytes[this.#dtype]).slice();
    } finally {
      binding.dispose();
      for (const buffer of Object.values(buffers)) buffer.dispose();
    }
  }
}

/** int64 [P, 2]: a picture is paired with itself, the frames of a video with their neighbours. */
function framePairs(frameCount: number): BigInt64Array {
  if (frameCount === 1) return BigInt64Array.of(0n, 0n);
  return BigInt64Array.from({ length: frameCount }, (_, i) => BigInt(i));
}
