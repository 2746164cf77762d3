// Linux's functions for a process's memory.

import type { KoffiFunc } from "koffi";
import { cLibrary } from "./load-library.ts";

/** What mmap returns instead of an address. */
export const mapFailed = 2n ** 64n - 1n;

type LinuxMemory = {
  readonly mmap: (address: bigint, byteLength: number, protection: number, flags: number, file: number, offset: number) => number | bigint;
  readonly munmap: (address: bigint, byteLength: number) => number;
  /** Its `async` runs in a thread of libuv. */
  readonly madvise: KoffiFunc<(address: bigint, byteLength: number, advice: number) => number>;
  readonly memmove: (to: bigint, from: bigint, byteLength: number) => number | bigint;
};

/** Undefined on other systems. */
export const linuxMemory: LinuxMemory | undefined =
  process.platform === "linux"
    ? {
        mmap: cLibrary.func("mmap", "uintptr_t", ["uintptr_t", "size_t", "int", "int", "int", "int64_t"]),
        munmap: cLibrary.func("munmap", "int", ["uintptr_t", "size_t"]),
        madvise: cLibrary.func("madvise", "int", ["uintptr_t", "size_t", "int"]),
        memmove: cLibrary.func("memmove", "uintptr_t", ["uintptr_t", "uintptr_t", "size_t"]),
      }
    : undefined;
