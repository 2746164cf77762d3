// One picture, or all frames of a video at once, on its way through the vision tower.

import { elementCount, type DataType } from "../core/data-type.ts";
import { visionIo } from "../core/graph-io.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { spanLength, type ImagePatches } from "../core/prompt.ts";
import { gridPositions } from "../core/vision-grid.ts";
import { Mirror } from "../runtime/mirror.ts";
import { buildOwned, type Owned } from "../runtime/owned.ts";
import type { Runtime, Tensor } from "../runtime/runtime.ts";
import type { Binding, Session } from "../runtime/session.ts";
import { DeviceBuffer } from "./tensor-buffer.ts";
import { packedBytes, TensorPack } from "./tensor-pack.ts";

/** What all pictures use: `yes` and `no` are bools in host memory. */
export type VisionTower = {
  readonly session: Session;
  readonly config: ModelConfig;
  readonly dtype: DataType;
  readonly yes: Tensor;
  readonly no: Tensor;
};

export class VisionEncoding {
  readonly #runtime: Runtime;
  readonly #tower: VisionTower;
  readonly #featureShape: readonly [number, number];
  readonly #parts: { readonly binding: Binding; readonly owned: Owned };
  #nextLayer = 0;

  /** Takes memory for the picture, and for what one layer leaves for the next. */
  constructor(runtime: Runtime, tower: VisionTower, image: ImagePatches) {
    this.#runtime = runtime;
    this.#tower = tower;
    this.#featureShape = featureShape(image, tower.config);
    this.#parts = buildOwned((owned) => ({ binding: this.#bind(owned, image) }));
  }

  get layersLeft(): number {
    return this.#tower.config.vision.layerCount - this.#nextLayer;
  }

  /** Computes the next layers, but not the last. Returns when the device is done. */
  advance(layerCount: number): void {
    this.#run(Math.min(layerCount, this.layersLeft - 1));
  }

  /**
   * Computes all that is left and returns the features, act [spanLength, hidden]. The caller disposes of them. `extraOutputs` may bind the tower's
   * last hidden state.
   */
  finish(extraOutputs?: (binding: Binding) => void): DeviceBuffer {
    const shape = this.#featureShape;
    const features = DeviceBuffer.allocate(this.#runtime, this.#tower.dtype, elementCount(shape));
    try {
      this.#parts.binding.output(visionIo.features, features.shaped(...shape));
      extraOutputs?.(this.#parts.binding);
      this.#run(this.layersLeft);
      return features;
    } catch (error) {
      features.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.#parts.owned.dispose();
  }

  #run(layerCount: number): void {
    const { config, yes, no } = this.#tower;
    const end = this.#nextLayer + layerCount;
    for (let layer = 0; layer < config.vision.layerCount; layer++) {
      this.#parts.binding.input(visionIo.runsLayer(layer), layer >= this.#nextLayer && layer < end ? yes : no);
    }
    try {
      this.#parts.binding.run();
    } finally {
      this.#runtime.device.synchronize();
    }
    this.#nextLayer = end;
  }

  #bind(owned: Owned, image: ImagePatches): Binding {
    const { session, config, dtype } = this.#tower;
    const { frameCount, patchRows, patchColumns, patches } = image;
    const fields = fieldsOf(image, 3 * config.vision.patchSize ** 2);
    const mirror = owned.add(new Mirror(this.#runtime.device, packedBytes(fields)));
    const inputs = owned.add(new TensorPack(this.#runtime, mirror, fields));
    const hiddenShape = [frameCount, patchRows * patchColumns, config.vision.hiddenSize];
    const hidden = owned.add(DeviceBuffer.allocate(this.#runtime, dtype, elementCount(hiddenShape))).shaped(...hiddenShape);
    const binding = owned.add(session.createBinding());
    inputs.arrays.patches.set(patches);
    inputs.arrays.gridPositions.set(gridPositions(patchRows, patchColumns));
    inputs.arrays.framePairs.set(framePairs(frameCount));
    inputs.upload();
    binding.input(visionIo.patches, inputs.tensors.patches);
    binding.input(visionIo.gridPositions, inputs.tensors.gridPositions);
    binding.input(visionIo.framePairs, inputs.tensors.framePairs);
    binding.input(visionIo.hidden, hidden);
    binding.output(visionIo.nextHidden, hidden);
    return binding;
  }
}

/** [spanLength, hidden] */
export function featureShape(image: ImagePatches, { text }: ModelConfig): [number, number] {
  return [spanLength(image), text.hiddenSize];
}

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
