// The memory behind the KV slots: per layer one block for keys and one for values, [slots, kvHeads, capacity, headDim].

import { elementBytes, type DataType } from "../core/data-type.ts";
import { decoderIo } from "../core/graph-io.ts";
import type { TextConfig } from "../core/model-config.ts";
import type { Memory, RowPlace } from "../runtime/device.ts";
import { buildOwned, type Owned } from "../runtime/owned.ts";
import type { Runtime, Tensor } from "../runtime/runtime.ts";
import type { Binding, Session } from "../runtime/session.ts";

/** Bytes that one token takes in a slot. */
export function kvBytesPerToken(config: TextConfig, dtype: DataType): number {
  return 2 * config.layerCount * config.kvHeadCount * config.headDim * elementBytes[dtype];
}

/** Two slots are exchanged in pieces of this size. */
const maxScratchBytes = 16 << 20;

export class KvCache {
  readonly slotCount: number;
  readonly capacity: number;
  readonly #runtime: Runtime;
  readonly #session: Session;
  readonly #config: TextConfig;
  readonly #dtype: DataType;
  readonly #owned: Owned;
  /** For each layer its keys, then its values. */
  readonly #blocks: readonly Memory[];
  readonly #scratch: Memory;

  /** `dtype` is that of the cache, which need not be that of the activations. */
  constructor(runtime: Runtime, session: Session, config: TextConfig, dtype: DataType, size: { slotCount: number; capacity: number }) {
    this.slotCount = size.slotCount;
    this.capacity = size.capacity;
    this.#runtime = runtime;
    this.#session = session;
    this.#config = config;
    this.#dtype = dtype;
    const { device } = runtime;
    const { owned, blocks, scratch } = buildOwned((owned) => ({
      blocks: Array.from({ length: 2 * config.layerCount }, () => owned.add(device.allocate(size.slotCount * this.#slotBytes))),
      scratch: owned.add(device.allocate(Math.min(maxScratchBytes, this.#slotBytes))),
    }));
    [this.#owned, this.#blocks, this.#scratch] = [owned, blocks, scratch];
    if (device.kind === "cpu") return; // would touch all of it, and the pages of an empty slot cost nothing
    // Warming up reads what nobody has written: it must at least be numbers.
    for (const block of blocks) device.zero(block);
    device.synchronize();
  }

  /** A new binding of the decoder whose caches are the slots [first, first + count), read and written in place. */
  createBinding(first: number, count: number): Binding {
    const binding = this.#owned.add(this.#session.createBinding());
    const shape = [count, this.#config.kvHeadCount, this.capacity, this.#config.headDim];
    for (let layer = 0; layer < this.#config.layerCount; layer++) {
      const [keys, values] = [0, 1].map((part) => {
        const tensor = this.#runtime.createTensor(this.#blocks[2 * layer + part]!, this.#dtype, shape, first * this.#slotBytes);
        this.#owned.add({ dispose: () => this.#runtime.releaseTensor(tensor) });
        return tensor;
      }) as [Tensor, Tensor];
      binding.input(decoderIo.pastKey(layer), keys);
      binding.output(decoderIo.presentKey(layer), keys);
      binding.input(decoderIo.pastValue(layer), values);
      binding.output(decoderIo.presentValue(layer), values);
    }
    return binding;
  }

  /** The first `length` tokens of slot `from` also in slot `to`. */
  copy(from: number, to: number, length: number): void {
    for (const block of this.#blocks) this.#copyTokens(this.#at(block, to, 0), this.#at(block, from, 0), length);
  }

  swap(a: number, lengthA: number, b: number, lengthB: number): void {
    const length = Math.max(lengthA, lengthB);
    const pieceLength = Math.floor(this.#scratch.byteLength / (this.#config.kvHeadCount * this.#tokenBytes));
    for (const block of this.#blocks) {
      for (let start = 0; start < length; start += pieceLength) {
        const count = Math.min(pieceLength, length - start);
        const [inA, inB] = [this.#at(block, a, start), this.#at(block, b, start)];
        const aside = { memory: this.#scratch, offset: 0, pitch: count * this.#tokenBytes };
        this.#copyTokens(aside, inA, count);
        this.#copyTokens(inA, inB, count);
        this.#copyTokens(inB, aside, count);
      }
    }
  }

  dispose(): void {
    this.#owned.dispose();
  }

  /** One token of one head of one layer's keys or values. */
  get #tokenBytes(): number {
    return this.#config.headDim * elementBytes[this.#dtype];
  }

  get #slotBytes(): number {
    return this.#config.kvHeadCount * this.capacity * this.#tokenBytes;
  }

  /** Token `start` of a slot, in each of its heads. */
  #at(block: Memory, slot: number, start: number): RowPlace {
    return { memory: block, offset: slot * this.#slotBytes + start * this.#tokenBytes, pitch: this.capacity * this.#tokenBytes };
  }

  #copyTokens(to: RowPlace, from: RowPlace, count: number): void {
    this.#runtime.device.copyRows(to, from, count * this.#tokenBytes, this.#config.kvHeadCount);
  }
}
