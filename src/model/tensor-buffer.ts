// Native memory of fixed address for one graph input or output, seen as a typed array and as tensors of changing shape.

import { elementBytes, type DataType } from "../core/data-type.ts";
import type { Memory, Runtime, Tensor } from "../runtime/runtime.ts";

type ArrayOf = {
  readonly float32: Float32Array;
  readonly float16: Uint16Array;
  readonly bfloat16: Uint16Array;
  readonly int32: Int32Array;
  readonly int64: BigInt64Array;
  readonly uint8: Uint8Array;
  readonly int8: Int8Array;
  readonly bool: Uint8Array;
};

const constructors = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
};

export class TensorBuffer<T extends DataType = DataType> {
  readonly data: ArrayOf[T];
  readonly #runtime: Runtime;
  readonly #dtype: T;
  readonly #memory: Memory;
  readonly #tensors = new Map<string, Tensor>();

  constructor(runtime: Runtime, dtype: T, elementCapacity: number) {
    this.#runtime = runtime;
    this.#dtype = dtype;
    this.#memory = runtime.allocate(elementCapacity * elementBytes[dtype]);
    this.data = new constructors[dtype](this.#memory.bytes, 0, elementCapacity) as ArrayOf[T];
  }

  /** A tensor over the first elements; kept, because the same shapes come again and again. */
  shaped(...shape: number[]): Tensor {
    const key = shape.join(",");
    let tensor = this.#tensors.get(key);
    if (!tensor) {
      tensor = this.#runtime.createTensor(this.#memory, this.#dtype, shape);
      this.#tensors.set(key, tensor);
    }
    return tensor;
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) this.#runtime.releaseTensor(tensor);
    this.#memory.dispose();
  }
}
