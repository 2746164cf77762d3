// The memory behind the KV slots: per layer one block for keys and one for values, [slots, kvHeads, capacity, headDim].

import { elementBytes, type DataType } from "../core/data-type.ts";
import { decoderIo } from "../core/graph-io.ts";
import type { TextConfig } from "../core/model-config.ts";
import type { Memory, Runtime, Tensor } from "../runtime/runtime.ts";
import type { Binding, Session } from "../runtime/session.ts";

/** Bytes that one token takes in a slot. */
export function kvBytesPerToken(config: TextConfig, dtype: DataType): number {
  return 2 * config.layerCount * config.kvHeadCount * config.headDim * elementBytes[dtype];
}

export class KvCache {
  readonly slotCount: number;
  readonly capacity: number;
  readonly #runtime: Runtime;
  readonly #session: Session;
  readonly #config: TextConfig;
  readonly #dtype: DataType;
  /** For each layer its keys, then its values. */
  readonly #blocks: readonly Memory[];
  readonly #bindings = new Map<string, Binding>();
  readonly #tensors: Tensor[] = [];

  constructor(runtime: Runtime, session: Session, config: TextConfig, dtype: DataType, size: { slotCount: number; capacity: number }) {
    this.slotCount = size.slotCount;
    this.capacity = size.capacity;
    this.#runtime = runtime;
    this.#session = session;
    this.#config = config;
    this.#dtype = dtype;
    const blockBytes = size.slotCount * this.#slotBytes;
    this.#blocks = Array.from({ length: 2 * config.layerCount }, () => runtime.allocate(blockBytes));
  }

  /** A binding of the decoder whose caches are the slots [first, first + count), read and written in place. */
  binding(first: number, count: number): Binding {
    const key = `${first}+${count}`;
    let binding = this.#bindings.get(key);
    if (!binding) {
      binding = this.#session.createBinding();
      const shape = [count, this.#config.kvHeadCount, this.capacity, this.#config.headDim];
      for (let layer = 0; layer < this.#config.layerCount; layer++) {
        const [keys, values] = [0, 1].map((part) => {
          const tensor = this.#runtime.createTensor(this.#blocks[2 * layer + part]!, this.#dtype, shape, first * this.#slotBytes);
          this.#tensors.push(tensor);
          return tensor;
        }) as [Tensor, Tensor];
        binding.input(decoderIo.pastKey(layer), keys);
        binding.output(decoderIo.presentKey(layer), keys);
        binding.input(decoderIo.pastValue(layer), values);
        binding.output(decoderIo.presentValue(layer), values);
      }
      this.#bindings.set(key, binding);
    }
    return binding;
  }

  /** The first `length` tokens of slot `from` also in slot `to`. */
  copy(from: number, to: number, length: number): void {
    this.#eachHead(length, (block, head, bytes) => {
      const source = from * this.#slotBytes + head;
      block.copyWithin(to * this.#slotBytes + head, source, source + bytes);
    });
  }

  swap(a: number, lengthA: number, b: number, lengthB: number): void {
    this.#eachHead(Math.max(lengthA, lengthB), (block, head, bytes) => {
      const [startA, startB] = [a * this.#slotBytes + head, b * this.#slotBytes + head];
      const kept = block.slice(startA, startA + bytes);
      block.copyWithin(startA, startB, startB + bytes);
      block.set(kept, startB);
    });
  }

  dispose(): void {
    for (const binding of this.#bindings.values()) binding.dispose();
    for (const tensor of this.#tensors) this.#runtime.releaseTensor(tensor);
    for (const block of this.#blocks) block.dispose();
  }

  get #slotBytes(): number {
    return this.#config.kvHeadCount * this.#headBytes(this.capacity);
  }

  /** Bytes of `length` tokens of one head of one layer's keys or values. */
  #headBytes(length: number): number {
    return length * this.#config.headDim * elementBytes[this.#dtype];
  }

  /** Calls back for each head of each block: its offset within a slot and the bytes that `length` tokens take. */
  #eachHead(length: number, visit: (block: Uint8Array, headOffset: number, bytes: number) => void): void {
    for (const memory of this.#blocks) {
      const block = new Uint8Array(memory.bytes);
      for (let head = 0; head < this.#config.kvHeadCount; head++) {
        visit(block, head * this.#headBytes(this.capacity), this.#headBytes(length));
      }
    }
  }
}
