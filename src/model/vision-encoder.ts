// Runs the vision tower: pictures → features, which replace the embeddings of their placeholders. They stay on the device, cached by image hash.

import { elementBytes, elementCount, type DataType } from "../core/data-type.ts";
import type { ModelConfig } from "../core/model-config.ts";
import type { ImagePatches } from "../core/prompt.ts";
import type { Memory } from "../runtime/device.ts";
import { buildOwned, type Owned } from "../runtime/owned.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Binding, Session } from "../runtime/session.ts";
import { FeatureCache } from "./feature-cache.ts";
import { TensorBuffer, type DeviceBuffer } from "./tensor-buffer.ts";
import { featureShape, VisionEncoding, type VisionTower } from "./vision-encoding.ts";

/** Most pictures that are encoded in part. The scheduler prefills two prompts in turns, the oldest and the shortest. */
const maxBegunPictures = 2;

export class VisionEncoder {
  readonly #runtime: Runtime;
  readonly #tower: VisionTower;
  readonly #owned: Owned;
  readonly #features: FeatureCache;
  /** By image hash, the least recently continued first. */
  readonly #begun = new Map<string, VisionEncoding>();

  constructor(runtime: Runtime, session: Session, config: ModelConfig, dtype: DataType, cacheBytes: number) {
    this.#runtime = runtime;
    const { owned, no, yes } = buildOwned((owned) => {
      const bool = (value: number) => {
        const buffer = owned.add(new TensorBuffer(runtime, "bool", 1));
        buffer.data[0] = value;
        return buffer.shaped();
      };
      return { no: bool(0), yes: bool(1) };
    });
    this.#tower = { session, config, dtype, yes, no };
    this.#owned = owned;
    this.#features = new FeatureCache(cacheBytes);
  }

  has(image: ImagePatches): boolean {
    return this.#features.has(image.hash);
  }

  /** act [spanLength, hidden] in device memory, valid until the next call. */
  encode(image: ImagePatches): Memory {
    if (!this.has(image)) this.advance(image, this.#tower.config.vision.layerCount);
    return this.#features.get(image.hash)!.memory;
  }

  /**
   * Computes up to `layerCount` more layers of the tower for a picture, and after the last one its features, unless they are cached. Call it again
   * until `has` is true. If it throws, the picture begins anew.
   */
  advance(image: ImagePatches, layerCount: number): void {
    if (this.has(image)) return;
    const { hash } = image;
    const encoding = this.#begun.get(hash) ?? this.#begin(image);
    this.#begun.delete(hash);
    try {
      if (layerCount < encoding.layersLeft) {
        encoding.advance(layerCount);
        this.#begun.set(hash, encoding);
        return;
      }
      this.#runtime.device.synchronize(); // no queued step may still read features that are about to be evicted
      const { config, dtype } = this.#tower;
      this.#features.makeRoom(elementCount(featureShape(image, config)) * elementBytes[dtype]);
      this.#features.add(hash, encoding.finish());
    } finally {
      if (!this.#begun.has(hash)) encoding.dispose();
    }
  }

  /**
   * Encodes a picture without using the cache. The caller disposes of the features. Returns when the device is done. `extraOutputs` may bind the
   * tower's last hidden state.
   */
  run(image: ImagePatches, extraOutputs?: (binding: Binding) => void): DeviceBuffer {
    const encoding = new VisionEncoding(this.#runtime, this.#tower, image);
    try {
      return encoding.finish(extraOutputs);
    } finally {
      encoding.dispose();
    }
  }

  dispose(): void {
    for (const encoding of this.#begun.values()) encoding.dispose();
    this.#features.dispose();
    this.#owned.dispose();
  }

  #begin(image: ImagePatches): VisionEncoding {
    const [oldest] = this.#begun;
    if (oldest && this.#begun.size === maxBegunPictures) {
      this.#begun.delete(oldest[0]);
      oldest[1].dispose();
    }
    return new VisionEncoding(this.#runtime, this.#tower, image);
  }
}
