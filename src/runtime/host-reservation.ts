// Addresses on the host whose memory is given back part by part: an anonymous mapping, whose pages the system provides when they are touched.

import { assert, EngineError } from "../core/errors.ts";
import type { Reservation } from "./device.ts";
import { linuxMemory, mapFailed } from "./linux-memory.ts";

/** A multiple of every page size that Linux has on x64 and arm64. */
export const hostUnitBytes = 65_536;

/** PROT_READ | PROT_WRITE */
const readWrite = 3;
/** MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE: addresses do not count as memory, unless vm.overcommit_memory is 2. */
const addressesOnly = 0x4022;
/** MADV_DONTNEED: the pages are given back, and read as zeros when they are touched again. */
const dontNeed = 4;
/** MADV_NOHUGEPAGE: else the first token of each head of a slot might take 2 MiB. */
const noHugePages = 15;

/** Throws EngineError where the system refuses so many addresses. */
export function reserveHost(byteLength: number): Reservation {
  if (!linuxMemory) throw new EngineError(`${process.platform} has no addresses without memory that we know of`);
  const { madvise, memmove, mmap, munmap } = linuxMemory;
  const size = Math.ceil(byteLength / hostUnitBytes) * hostUnitBytes;
  const address = BigInt(mmap(0n, size, readWrite, addressesOnly, -1, 0));
  if (address === mapFailed) throw new EngineError(`the system has no addresses for ${size} bytes (vm.overcommit_memory, ulimit -v)`);
  madvise(address, size, noHugePages); // a kernel without huge pages knows no such advice
  const at = (offset: number, length: number): bigint => {
    const isPart = offset % hostUnitBytes === 0 && length % hostUnitBytes === 0 && offset >= 0 && offset + length <= size;
    assert(isPart, `${length} bytes at ${offset} are no part of ${size}`);
    return address + BigInt(offset);
  };
  const release = (offset: number, length: number): void => {
    assert(madvise(at(offset, length), length, dontNeed) === 0, `the system does not take back ${length} bytes`);
  };
  return {
    space: "host",
    address,
    byteLength: size,
    unitBytes: hostUnitBytes,
    commit: (offset, length) => void at(offset, length),
    release,
    move: (to, from, length) => {
      memmove(at(to, length), at(from, length), length);
      release(from, length);
    },
    dispose: () => void munmap(address, size),
  };
}

/** Whether the system gives so many addresses. */
export function canReserveHost(byteLength: number): boolean {
  try {
    reserveHost(byteLength).dispose();
    return true;
  } catch (error) {
    if (error instanceof EngineError) return false;
    throw error;
  }
}
