// Pictures → the rows that replace their placeholders' embeddings, which stay on the device; the last ones are kept by image hash.

import { type DataType } from "../core/data-type.ts";
import { assert } from "../core/errors.ts";
import { visionIo } from "../core/graph-io.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { spanLength, type ImagePatches } from "../core/prompt.ts";
import { gridPositions } from "../core/vision-grid.ts";
import type { Memory } from "../runtime/device.ts";
import { Mirror } from "../runtime/mirror.ts";
import { Owned } from "../runtime/owned.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Binding, Session } from "../runtime/session.ts";
import { FeatureCache } from "./feature-cache.ts";
import { DeviceBuffer } from "./tensor-buffer.ts";
import { packedBytes, TensorPack } from "./tensor-pack.ts";

export class VisionEncoder {
  readonly #runtime: Runtime;
  readonly #session: Session;
  readonly #config: ModelConfig;
  readonly #dtype: DataType;
  readonly #features: FeatureCache;
  /** A video of which only the first frames are encoded. */
  #unfinished: { readonly hash: string; readonly features: DeviceBuffer; encodedFrames: number } | undefined;

  constructor(runtime: Runtime, session: Session, config: ModelConfig, dtype: DataType, cacheBytes: number) {
    this.#runtime = runtime;
    this.#session = session;
    this.#config = config;
    this.#dtype = dtype;
    this.#features = new FeatureCache(cacheBytes);
  }

  has(image: ImagePatches): boolean {
    return this.#features.has(image.hash);
  }

  /** act [spanLength, hidden] in device memory, which is valid until the next call. */
  encode(image: ImagePatches): Memory {
    while (!this.encodeNext(image));
    const features = this.#features.get(image.hash);
    assert(features, "what was encoded last is kept");
    return features.memory;
  }

  /**
   * Encodes a picture, or the next frames of a video: as many as have no more patches than the largest picture, for which memory was
   * planned. False: there are more. One video at a time: another picture starts an unfinished one anew.
   */
  encodeNext(image: ImagePatches): boolean {
    if (this.#features.has(image.hash)) return true;
    if (this.#unfinished?.hash !== image.hash) this.#forgetUnfinished();
    const unfinished = (this.#unfinished ??= { hash: image.hash, features: this.#allocate(image), encodedFrames: 0 });
    const { features, encodedFrames } = unfinished;
    const count = Math.min(this.#framesAtOnce(image), image.frameCount - encodedFrames);
    try {
      this.#run(image, { first: encodedFrames, count }, features);
    } catch (error) {
      this.#forgetUnfinished();
      throw error;
    }
    unfinished.encodedFrames += count;
    if (unfinished.encodedFrames < image.frameCount) return false;
    this.#unfinished = undefined;
    // The device is done, so nothing still reads what has to make room.
    this.#features.add(image.hash, features);
    return true;
  }

  /**
   * Encodes all at once, whether or not the features are known; the caller disposes of them. Returns when the device is done.
   * `extraOutputs` binds the outputs of a graph built for inspection.
   */
  run(image: ImagePatches, extraOutputs?: (binding: Binding) => void): DeviceBuffer {
    const features = this.#allocate(image);
    try {
      this.#run(image, { first: 0, count: image.frameCount }, features, extraOutputs);
      return features;
    } catch (error) {
      features.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.#forgetUnfinished();
    this.#features.dispose();
  }

  #allocate(image: ImagePatches): DeviceBuffer {
    const { text, vision } = this.#config;
    return DeviceBuffer.allocate(this.#runtime, this.#dtype, spanLength(image, vision.mergeSize) * text.hiddenSize);
  }

  #framesAtOnce({ frameCount, patchRows, patchColumns }: ImagePatches): number {
    if (frameCount === 1) return 1;
    const { image, vision } = this.#config;
    return 2 * Math.max(1, Math.floor(image.maxPixels / vision.patchSize ** 2 / (2 * patchRows * patchColumns)));
  }

  /** Frames see nothing of each other before the resampler, and there only in pairs. */
  #run(image: ImagePatches, frames: Frames, features: DeviceBuffer, extraOutputs?: (binding: Binding) => void): void {
    const { text, vision } = this.#config;
    const { device } = this.#runtime;
    const part = { ...image, frameCount: frames.count };
    const rowsBefore = frames.first === 0 ? 0 : spanLength({ ...image, frameCount: frames.first }, vision.mergeSize);
    const frameBytes = image.patches.length / image.frameCount;
    const fields = fieldsOf(part, 3 * vision.patchSize ** 2);
    const work = new Owned();
    try {
      const mirror = work.add(new Mirror(device, packedBytes(fields)));
      const inputs = work.add(new TensorPack(this.#runtime, mirror, fields));
      const binding = work.add(this.#session.createBinding());
      work.add({ dispose: () => device.synchronize() }); // comes first
      inputs.arrays.patches.set(image.patches.subarray(frames.first * frameBytes, (frames.first + frames.count) * frameBytes));
      inputs.arrays.gridPositions.set(gridPositions(image.patchRows, image.patchColumns));
      inputs.arrays.framePairs.set(framePairs(frames.count));
      inputs.upload();
      binding.input(visionIo.patches, inputs.tensors.patches);
      binding.input(visionIo.gridPositions, inputs.tensors.gridPositions);
      binding.input(visionIo.framePairs, inputs.tensors.framePairs);
      binding.output(visionIo.features, features.rows(rowsBefore, spanLength(part, vision.mergeSize), text.hiddenSize));
      extraOutputs?.(binding);
      binding.run();
    } finally {
      work.dispose();
    }
  }

  #forgetUnfinished(): void {
    this.#unfinished?.features.dispose();
    this.#unfinished = undefined;
  }
}

type Frames = { readonly first: number; readonly count: number };

function fieldsOf({ frameCount, patchRows, patchColumns }: ImagePatches, patchWidth: number) {
  const patchCount = patchRows * patchColumns;
  return {
    patches: { dtype: "uint8", shape: [frameCount, patchCount, patchWidth] },
    gridPositions: { dtype: "int64", shape: [patchCount, 2] },
    framePairs: { dtype: "int64", shape: [Math.max(1, frameCount / 2), 2] },
  } as const;
}

/** int64 [P, 2]: a picture is paired with itself, the frames of a video with their neighbours. */
function framePairs(frameCount: number): BigInt64Array {
  if (frameCount === 1) return BigInt64Array.of(0n, 0n);
  return BigInt64Array.from({ length: frameCount }, (_, i) => BigInt(i));
}
