// libcuda's functions that put memory to addresses, over the host's: memory is pages of a file that is nowhere but in memory, and what lies at no memory
// can be touched without a crash, but not unnoticed.

import { closeSync, writeSync } from "node:fs";
import koffi from "koffi";
import { cudaErrorCodes, type Out } from "../../src/runtime/cuda/cudart.ts";
import type { DriverFunctions, MemoryHandle } from "../../src/runtime/cuda/driver.ts";
import type { Pointer } from "../../src/runtime/ort-api.ts";

/** Bytes that queued work reads or writes. */
export type Range = { readonly address: Pointer; readonly byteLength: number };

/** What the addresses are part of. */
type FakeGpu = {
  readonly violate: (message: string) => never;
  readonly nextAllocationFails: () => boolean;
  readonly userOf: (range: Range) => string | undefined;
};

type Addresses = Range & { isLive: boolean };
type Page = { readonly memory: number; isAccessible: boolean };

const libc = koffi.load("libc.so.6");
const memfdCreate = libc.func("memfd_create", "int", ["const char *", "unsigned int"]) as (name: string, flags: number) => number;
const mmap = libc.func("mmap", "uintptr_t", ["uintptr_t", "size_t", "int", "int", "int", "int64_t"]) as (
  address: Pointer,
  byteLength: number,
  protection: number,
  flags: number,
  file: number,
  offset: number,
) => number | bigint;
const munmap = libc.func("munmap", "int", ["uintptr_t", "size_t"]) as (address: Pointer, byteLength: number) => number;
const mincore = libc.func("mincore", "int", ["uintptr_t", "size_t", "void *"]) as (
  address: Pointer,
  byteLength: number,
  isTouched: Uint8Array,
) => number;

const readWrite = 3;
const shared = 0x01;
const fixed = 0x10;
/** MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE */
const addressesOnly = 0x4022;
const hostPageBytes = 4096;
/** Of all types of numbers: a NaN. What nobody has written must not go unnoticed. */
const garbage = 0xff;
const properties = [1, 0, 1, 0, 0, 0, 0, 0];
const access = [1, 0, 3];

export class FakeDriver implements DriverFunctions {
  readonly #gpu: FakeGpu;
  readonly #pageBytes: number;
  #file: number | undefined;
  /** All that there ever were, so that addresses do not come again. */
  readonly #reserved: Addresses[] = [];
  /** Whether the memory of that number still is there. */
  readonly #memory: boolean[] = [];
  readonly #mapped = new Map<Pointer, Page>();

  constructor(gpu: FakeGpu, pageBytes: number) {
    this.#gpu = gpu;
    this.#pageBytes = pageBytes;
  }

  /** Leaks: what is reserved, taken and mapped now. */
  get live(): string[] {
    const reserved = this.#reserved.filter(({ isLive }) => isLive).map(({ byteLength }) => `${byteLength} bytes reserved`);
    const pages = this.usedBytes / (this.#pageBytes || 1);
    return [...reserved, ...(pages > 0 ? [`${pages} pages`] : []), ...(this.#mapped.size > 0 ? [`${this.#mapped.size} pages mapped`] : [])];
  }

  get usedBytes(): number {
    return this.#memory.filter((isLive) => isLive).length * this.#pageBytes;
  }

  /** Whether the range lies at reserved addresses; a violation when it may not be used. */
  isReserved(range: Range, hasMemory: "everywhere" | "in part"): boolean {
    const found = this.#reserved.find((each) => overlaps(each, { address: range.address, byteLength: 1 }));
    if (!found) return false;
    if (!found.isLive) this.#gpu.violate("use of freed addresses");
    if (endOf(range) > endOf(found)) this.#gpu.violate(`${range.byteLength} bytes reach beyond reserved addresses`);
    if (hasMemory === "in part") return true;
    const first = range.address - ((range.address - found.address) % BigInt(this.#pageBytes));
    for (let page = first; page < endOf(range); page += BigInt(this.#pageBytes)) {
      if (!this.#mapped.has(page)) this.#gpu.violate("use of addresses without memory");
      if (!this.#mapped.get(page)!.isAccessible) this.#gpu.violate("use of memory without access");
    }
    return true;
  }

  /** A violation when anything has been read or written at reserved addresses that have no memory, as runs may do, which are bound to all of a slot. */
  checkUntouched(): void {
    for (const { address, byteLength } of this.#reserved) {
      const isTouched = new Uint8Array(byteLength / hostPageBytes);
      mincore(address, byteLength, isTouched);
      for (let offset = 0; offset < byteLength; offset += this.#pageBytes) {
        if (this.#mapped.get(address + BigInt(offset))?.isAccessible) continue;
        const pages = isTouched.subarray(offset / hostPageBytes, (offset + this.#pageBytes) / hostPageBytes);
        if (!pages.some((flags) => (flags & 1) === 1)) continue;
        this.#clear(address + BigInt(offset));
        this.#gpu.violate(`use of addresses without memory by a run, at ${offset} of ${byteLength}`);
      }
    }
  }

  dispose(): void {
    for (const { address, byteLength } of this.#reserved) munmap(address, byteLength);
    this.#reserved.length = 0;
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  cuDeviceGet(device: Out<number>, ordinal: number): number {
    device[0] = ordinal;
    return 0;
  }

  cuDeviceGetAttribute(value: Out<number>, attribute: number): number {
    if (attribute !== 102) this.#gpu.violate(`attribute ${attribute} of the device`);
    value[0] = this.#pageBytes > 0 ? 1 : 0;
    return 0;
  }

  cuMemGetAllocationGranularity(byteLength: Out<number>, wanted: Int32Array): number {
    this.#checkEqual("properties of memory", wanted, properties);
    byteLength[0] = this.#pageBytes;
    return 0;
  }

  cuMemAddressReserve(address: Out<Pointer>, byteLength: number): number {
    if (byteLength <= 0 || byteLength % this.#pageBytes !== 0) this.#gpu.violate(`addresses for ${byteLength} bytes`);
    if (this.#gpu.nextAllocationFails()) return cudaErrorCodes.cudaErrorMemoryAllocation;
    address[0] = BigInt(mmap(0n, byteLength, readWrite, addressesOnly, -1, 0));
    this.#reserved.push({ address: address[0], byteLength, isLive: true });
    return 0;
  }

  cuMemAddressFree(address: Pointer, byteLength: number): number {
    const found = this.#reserved.find((each) => each.address === address && each.byteLength === byteLength);
    if (!found) this.#gpu.violate("free of addresses that were not reserved so");
    if (!found.isLive) this.#gpu.violate("addresses freed twice");
    if ([...this.#mapped.keys()].some((page) => overlaps(found, { address: page, byteLength: 1 })))
      this.#gpu.violate("addresses freed that have memory");
    found.isLive = false;
    return 0;
  }

  cuMemCreate(memory: Out<MemoryHandle>, byteLength: number, wanted: Int32Array): number {
    this.#checkEqual("properties of memory", wanted, properties);
    if (byteLength !== this.#pageBytes) this.#gpu.violate(`a page of ${byteLength} bytes`);
    if (this.#gpu.nextAllocationFails()) return cudaErrorCodes.cudaErrorMemoryAllocation;
    this.#file ??= memfdCreate("fake GPU", 0);
    memory[0] = this.#memory.push(true) - 1;
    writeSync(this.#file, new Uint8Array(byteLength).fill(garbage), 0, byteLength, memory[0] * byteLength);
    return 0;
  }

  cuMemRelease(memory: MemoryHandle): number {
    if (!this.#memory[Number(memory)]) this.#gpu.violate("release of memory that does not exist");
    if ([...this.#mapped.values()].some((page) => page.memory === memory)) this.#gpu.violate("memory released that lies at an address");
    this.#memory[Number(memory)] = false;
    return 0;
  }

  cuMemMap(address: Pointer, byteLength: number, offset: number, memory: MemoryHandle): number {
    if (!this.#memory[Number(memory)]) this.#gpu.violate("mapping of memory that does not exist");
    if (byteLength !== this.#pageBytes || offset !== 0) this.#gpu.violate(`mapping of ${byteLength} bytes at ${offset} of a page`);
    for (const page of this.#pagesOf(address, byteLength)) {
      if (this.#mapped.has(page)) this.#gpu.violate("memory mapped where there is some already");
      this.#mapped.set(page, { memory: Number(memory), isAccessible: false });
    }
    return 0;
  }

  cuMemUnmap(address: Pointer, byteLength: number): number {
    const user = this.#gpu.userOf({ address, byteLength });
    if (user) this.#gpu.violate(`memory unmapped before ${user} that uses it`);
    for (const page of this.#pagesOf(address, byteLength)) {
      if (!this.#mapped.delete(page)) this.#gpu.violate("unmapping of addresses without memory");
      this.#clear(page);
    }
    return 0;
  }

  cuMemSetAccess(address: Pointer, byteLength: number, wanted: Int32Array, count: number): number {
    this.#checkEqual("access", wanted.subarray(0, 3 * count), access);
    for (const page of this.#pagesOf(address, byteLength)) {
      const mapped = this.#mapped.get(page);
      if (!mapped) this.#gpu.violate("access to addresses without memory");
      mapped.isAccessible = true;
      mmap(page, this.#pageBytes, readWrite, shared | fixed, this.#file!, mapped.memory * this.#pageBytes);
    }
    return 0;
  }

  /** Addresses as nobody has touched them. */
  #clear(page: Pointer): void {
    mmap(page, this.#pageBytes, readWrite, addressesOnly | fixed, -1, 0);
  }

  /** Addresses of the pages that the range consists of. */
  #pagesOf(address: Pointer, byteLength: number): Pointer[] {
    const found = this.#reserved.find((each) => each.isLive && each.address <= address && address < endOf(each));
    if (!found) this.#gpu.violate("mapping at addresses that are not reserved");
    if (address + BigInt(byteLength) > endOf(found)) this.#gpu.violate("mapping beyond reserved addresses");
    const isWhole = Number(address - found.address) % this.#pageBytes === 0 && byteLength % this.#pageBytes === 0 && byteLength > 0;
    if (!isWhole) this.#gpu.violate(`mapping of parts of pages, ${byteLength} bytes`);
    return Array.from({ length: byteLength / this.#pageBytes }, (_, i) => address + BigInt(i * this.#pageBytes));
  }

  #checkEqual(name: string, got: Int32Array, expected: readonly number[]): void {
    if (got.join() !== expected.join()) this.#gpu.violate(`${name} ${got.join()}`);
  }
}

export function overlaps(one: Range, other: Range): boolean {
  return one.address < endOf(other) && other.address < endOf(one);
}

function endOf({ address, byteLength }: Range): Pointer {
  return address + BigInt(byteLength);
}
