// Host memory and the device's counterpart of it, for values that cross between the two. On a CPU both are the same memory.

import type { Device, HostMemory, Memory } from "./device.ts";

export class Mirror {
  readonly host: HostMemory;
  readonly device: Memory;
  readonly #owner: Device;

  constructor(owner: Device, byteLength: number) {
    this.#owner = owner;
    this.host = owner.allocateHost(byteLength);
    try {
      this.device = owner.kind === "cpu" ? this.host : owner.allocate(byteLength);
    } catch (error) {
      this.host.dispose();
      throw error;
    }
  }

  /** The first bytes, host to device. */
  upload(byteLength: number): void {
    this.#copy(this.device, this.host, byteLength);
  }

  /** The first bytes, device to host. */
  download(byteLength: number): void {
    this.#copy(this.host, this.device, byteLength);
  }

  dispose(): void {
    this.host.dispose();
    if (this.device !== this.host) this.device.dispose();
  }

  #copy(to: Memory, from: Memory, byteLength: number): void {
    if (to !== from) this.#owner.copy({ memory: to, offset: 0 }, { memory: from, offset: 0 }, byteLength);
  }
}
