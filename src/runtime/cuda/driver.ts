// The typed mirror of the CUDA driver library (libcuda): the few functions for virtual memory, which libcudart lacks.

import type { Pointer } from "../ort-api.ts";
import { Owned } from "../owned.ts";
import { toError, type Cudart, type Out, type Signatures } from "./cudart.ts";

/** Names a piece of memory that may lie at no address (CUmemGenericAllocationHandle); its value means nothing. */
export type MemoryHandle = number | bigint;

/** libcuda as C has it: every function returns a CUresult, 0 for success. Tests put memory of their own behind it. */
export interface DriverFunctions {
  cuDeviceGet(device: Out<number>, ordinal: number): number;
  cuDeviceGetAttribute(value: Out<number>, attribute: number, device: number): number;
  cuMemGetAllocationGranularity(byteLength: Out<number>, properties: Int32Array, option: number): number;
  cuMemAddressReserve(address: Out<Pointer>, byteLength: number, alignment: number, hint: number, flags: number): number;
  cuMemAddressFree(address: Pointer, byteLength: number): number;
  cuMemCreate(memory: Out<MemoryHandle>, byteLength: number, properties: Int32Array, flags: number): number;
  cuMemRelease(memory: MemoryHandle): number;
  cuMemMap(address: Pointer, byteLength: number, offset: number, memory: MemoryHandle, flags: number): number;
  cuMemUnmap(address: Pointer, byteLength: number): number;
  cuMemSetAccess(address: Pointer, byteLength: number, access: Int32Array, count: number): number;
}

const pointer = "void *";
const uint64 = "uint64_t";

export const driverSignatures: Signatures<DriverFunctions> = {
  cuDeviceGet: ["_Out_ int *", "int"],
  cuDeviceGetAttribute: ["_Out_ int *", "int", "int"],
  cuMemGetAllocationGranularity: ["_Out_ size_t *", pointer, "int"],
  cuMemAddressReserve: ["_Out_ void **", "size_t", "size_t", uint64, uint64],
  cuMemAddressFree: [pointer, "size_t"],
  cuMemCreate: ["_Out_ uint64_t *", "size_t", pointer, uint64],
  cuMemRelease: [uint64],
  cuMemMap: [pointer, "size_t", "size_t", uint64, uint64],
  cuMemUnmap: [pointer, "size_t"],
  cuMemSetAccess: [pointer, "size_t", pointer, "size_t"],
};

/** Both libraries of a GPU. */
export type CudaLibraries = { readonly cudart: Cudart; readonly driver: CudaDriver };

/** CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED */
const managesAddresses = 102;
/** CU_MEM_ALLOC_GRANULARITY_RECOMMENDED: a multiple of the minimum; both are 2 MiB on the GPUs that there are. */
const recommended = 1;
/** CU_MEM_LOCATION_TYPE_DEVICE */
const onDevice = 1;
/** CU_MEM_ALLOCATION_TYPE_PINNED, the only one */
const pinned = 1;
/** CU_MEM_ACCESS_FLAGS_PROT_READWRITE */
const readWrite = 3;

/**
 * A CUmemAllocationProp: type, requestedHandleTypes (none: the memory stays in this process), location.type and location.id, and 16 bytes of zeros, which are
 * win32HandleMetaData and allocFlags. Size and offsets as gcc prints them for cuda.h of CUDA 13.0 (test/runtime/driver-layout.test.ts).
 */
function propertiesOf(device: number): Int32Array {
  return Int32Array.of(pinned, 0, onDevice, device, 0, 0, 0, 0);
}

/** libcuda with typed results; a call that fails throws CudaError, or DeviceLostError when all later ones would fail too. `cudaSetDevice` comes before. */
export class CudaDriver {
  readonly #functions: DriverFunctions;

  constructor(functions: DriverFunctions) {
    this.#functions = functions;
  }

  /** Of which size pieces of memory and the parts of addresses are that can be put together; undefined where the device cannot do that. Never throws. */
  pageBytes(ordinal: number): number | undefined {
    const device: Out<number> = [null];
    const supported: Out<number> = [null];
    const byteLength: Out<number> = [null];
    if (this.#functions.cuDeviceGet(device, ordinal) !== 0) return undefined;
    if (this.#functions.cuDeviceGetAttribute(supported, managesAddresses, device[0]!) !== 0 || supported[0] === 0) return undefined;
    if (this.#functions.cuMemGetAllocationGranularity(byteLength, propertiesOf(ordinal), recommended) !== 0) return undefined;
    return Number(byteLength[0]);
  }

  /**
   * Whether so many addresses can be had, and a page be put to one. Tried, because systems that offer both refuse them: WSL2 has refused addresses for
   * 32 GiB (node-llama-cpp #580), pages (cuda-python #1127) and access to them (PyTorch #192330).
   */
  canReserve(byteLength: number, ordinal: number): boolean {
    const pageBytes = this.pageBytes(ordinal);
    if (pageBytes === undefined) return false;
    const size = Math.ceil(byteLength / pageBytes) * pageBytes;
    const tried = new Owned();
    try {
      const address = this.memAddressReserve(size);
      tried.add({ dispose: () => this.memAddressFree(address, size) });
      const memory = this.memCreate(pageBytes, ordinal);
      tried.add({ dispose: () => this.memRelease(memory) });
      this.memMap(address, pageBytes, memory);
      tried.add({ dispose: () => this.memUnmap(address, pageBytes) });
      this.memSetAccess(address, pageBytes, ordinal);
      return true;
    } catch {
      return false;
    } finally {
      tried.dispose();
    }
  }

  /** Addresses without memory. */
  memAddressReserve(byteLength: number): Pointer {
    const address: Out<Pointer> = [null];
    const code = this.#functions.cuMemAddressReserve(address, byteLength, 0, 0, 0);
    this.#check("cuMemAddressReserve", code, `: addresses for ${byteLength} bytes wanted`);
    return address[0]!;
  }

  memAddressFree(address: Pointer, byteLength: number): void {
    this.#check("cuMemAddressFree", this.#functions.cuMemAddressFree(address, byteLength));
  }

  /** Memory without an address. */
  memCreate(byteLength: number, device: number): MemoryHandle {
    const memory: Out<MemoryHandle> = [null];
    this.#check("cuMemCreate", this.#functions.cuMemCreate(memory, byteLength, propertiesOf(device), 0));
    return memory[0]!;
  }

  memRelease(memory: MemoryHandle): void {
    this.#check("cuMemRelease", this.#functions.cuMemRelease(memory));
  }

  /** All of the memory lies at the address from now on, but nobody may use it yet. */
  memMap(address: Pointer, byteLength: number, memory: MemoryHandle): void {
    this.#check("cuMemMap", this.#functions.cuMemMap(address, byteLength, 0, memory, 0));
  }

  /** Of any number of whole pieces of memory that lie side by side, as NVIDIA's samples have it; part of a piece is refused. */
  memUnmap(address: Pointer, byteLength: number): void {
    this.#check("cuMemUnmap", this.#functions.cuMemUnmap(address, byteLength));
  }

  /** The device may read and write what lies there. */
  memSetAccess(address: Pointer, byteLength: number, device: number): void {
    const access = Int32Array.of(onDevice, device, readWrite); // a CUmemAccessDesc: location.type, location.id, flags
    this.#check("cuMemSetAccess", this.#functions.cuMemSetAccess(address, byteLength, access, 1));
  }

  #check(name: string, code: number, detail?: string): void {
    if (code !== 0) throw toError(name, code, detail);
  }
}
