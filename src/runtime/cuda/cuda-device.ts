// A GPU: its memory, and the stream on which copies and session runs execute in order.

import koffi from "koffi";
import {
  addressOf,
  alignmentBytes,
  type Device,
  type HostMemory,
  type Memory,
  type Place,
  type Reservation,
  type RowPlace,
} from "../device.ts";
import type { Pointer } from "../ort-api.ts";
import { CudaReservation } from "./cuda-reservation.ts";
import { type CopyKind, type Cudart, CudaError, cudaErrorCodes } from "./cudart.ts";
import type { CudaLibraries } from "./driver.ts";
import { deviceId } from "./probe.ts";

export class CudaDevice implements Device {
  readonly kind = "cuda";
  /** ONNX Runtime's sessions compute on it too, so that copies of ours and kernels of theirs need no further ordering. */
  readonly stream: Pointer;
  readonly #libraries: CudaLibraries;
  readonly #cudart: Cudart;

  /** Belongs to the calling thread from now on. */
  constructor(libraries: CudaLibraries) {
    this.#libraries = libraries;
    this.#cudart = libraries.cudart;
    this.#cudart.setDevice(deviceId);
    this.stream = this.#cudart.streamCreate();
  }

  allocate(byteLength: number): Memory {
    const size = Math.max(byteLength, alignmentBytes);
    const address = this.#cudart.malloc(size);
    return { space: "cuda", address, byteLength: size, dispose: () => this.#cudart.free(address) };
  }

  /** Throws EngineError where the GPU cannot (`CudaGpu.pageBytes`). */
  reserve(byteLength: number, memoryBytes: number): Reservation {
    return new CudaReservation(this.#libraries, this.stream, byteLength, memoryBytes);
  }

  allocateHost(byteLength: number): HostMemory {
    const size = Math.max(byteLength, alignmentBytes);
    const address = this.#cudart.hostAlloc(size);
    const dispose = (): void => this.#cudart.freeHost(address);
    return { space: "host", address, byteLength: size, bytes: koffi.view(address, size), dispose };
  }

  copy(to: Place, from: Place, byteLength: number): void {
    this.#cudart.memcpyAsync(addressOf(to, byteLength), addressOf(from, byteLength), byteLength, copyKind(to, from), this.stream);
  }

  copyRows(to: RowPlace, from: RowPlace, width: number, count: number): void {
    const address = (place: RowPlace): Pointer => addressOf(place, (count - 1) * place.pitch + width);
    const [toPitch, fromPitch] = [to.pitch, from.pitch];
    try {
      this.#cudart.memcpy2dAsync({ to: address(to), toPitch, from: address(from), fromPitch, width, height: count }, this.stream);
    } catch (error) {
      // Between the rows there may be addresses without memory, and nothing in CUDA's documentation says whether a driver minds.
      if (!(error instanceof CudaError) || error.code !== cudaErrorCodes.cudaErrorInvalidValue) throw error;
      const row = (place: RowPlace, i: number): Place => ({ memory: place.memory, offset: place.offset + i * place.pitch });
      for (let i = 0; i < count; i++) this.copy(row(to, i), row(from, i), width);
    }
  }

  zero(memory: Memory): void {
    this.#cudart.zeroAsync(memory.address, memory.byteLength, this.stream);
  }

  synchronize(): void {
    this.#cudart.streamSynchronize(this.stream);
  }

  dispose(): void {
    this.#cudart.streamDestroy(this.stream);
  }
}

function copyKind(to: Place, from: Place): CopyKind {
  if (from.memory.space === "host") return "upload";
  return to.memory.space === "host" ? "download" : "onDevice";
}
