// The features of the pictures that were asked for last, in device memory, within a limit of bytes.

import type { DeviceBuffer } from "./tensor-buffer.ts";

export class FeatureCache {
  readonly #maxBytes: number;
  /** The least recently used first. */
  readonly #entries = new Map<string, DeviceBuffer>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  has(hash: string): boolean {
    return this.#entries.has(hash);
  }

  get(hash: string): DeviceBuffer | undefined {
    const features = this.#entries.get(hash);
    if (!features) return undefined;
    this.#entries.delete(hash);
    this.#entries.set(hash, features);
    return features;
  }

  /** Lets go of what has not been asked for longest, as far as features of so many bytes need; of all when they are larger than the limit. */
  makeRoom(byteLength: number): void {
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes + byteLength <= this.#maxBytes) return;
      this.#entries.delete(oldest);
      this.#bytes -= entry.memory.byteLength;
      entry.dispose();
    }
  }

  /** Takes over features that it does not hold yet, and for which room was made. */
  add(hash: string, features: DeviceBuffer): void {
    this.#entries.set(hash, features);
    this.#bytes += features.memory.byteLength;
  }

  dispose(): void {
    for (const entry of this.#entries.values()) entry.dispose();
    this.#entries.clear();
  }
}
