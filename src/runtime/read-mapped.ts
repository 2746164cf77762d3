// Has the system read a file that this process has mapped, so that the threads that use it need wait neither for the disk nor for each of its pages.

import { readFileSync, realpathSync } from "node:fs";
import { linuxMemory } from "./linux-memory.ts";

/** MADV_POPULATE_READ, since Linux 5.14. The advice WILLNEED reads no more at once than the disk's read-ahead: 128 KiB, usually. */
const populateRead = 22;
/** The process cannot end before the piece that is being read has been. */
const pieceBytes = 2 ** 25;

type Mapping = { readonly address: bigint; readonly byteLength: number; readonly offset: number };

/**
 * Runs in a thread of libuv, at the disk's speed and without a copy. Resolves to whether all that is mapped of the file is in memory: not after
 * `signal`, nor where the system knows no such advice. The system may drop the pages again when memory is short. Throws if there is no such file.
 *
 * Nothing is written, so what the owner of a mapping does meanwhile cannot be harmed: of one that is gone, the advice fails.
 */
export async function readMapped(path: string, signal: AbortSignal): Promise<boolean> {
  for (const { address, byteLength } of mappingsOf(path)) {
    for (let start = 0; start < byteLength; start += pieceBytes) {
      if (signal.aborted) return false;
      if (!(await populate(address + BigInt(start), Math.min(pieceBytes, byteLength - start)))) return false;
    }
  }
  return linuxMemory !== undefined;
}

function populate(address: bigint, byteLength: number): Promise<boolean> {
  return new Promise((resolve) => {
    linuxMemory!.madvise.async(address, byteLength, populateRead, (error: unknown, status: number) => resolve(!error && status === 0));
  });
}

/** In the order of the file, which is the one that a disk reads fastest. */
function mappingsOf(path: string): Mapping[] {
  const real = realpathSync(path);
  if (!linuxMemory) return [];
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  const mappings = lines.flatMap((line): Mapping[] => {
    // from-to permissions offset device inode path
    const [, from, to, offset, name] = /^(\w+)-(\w+) \S+ (\w+) \S+ \d+ +(.*)$/.exec(line) ?? [];
    if (name !== real) return [];
    const address = BigInt(`0x${from}`);
    return [{ address, byteLength: Number(BigInt(`0x${to}`) - address), offset: Number.parseInt(offset!, 16) }];
  });
  return mappings.toSorted((a, b) => a.offset - b.offset);
}
