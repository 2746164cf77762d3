import { closeSync, openSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { linuxMemory } from "../../src/runtime/linux-memory.ts";
import { readMapped } from "../../src/runtime/read-mapped.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { mappedBytes } from "./mapped-bytes.ts";

const never = new AbortController().signal;
const [readOnly, isPrivate] = [1, 2];
const mapped: [address: bigint, byteLength: number][] = [];

afterEach(() => {
  for (const [address, byteLength] of mapped.splice(0)) linuxMemory!.munmap(address, byteLength);
});

function map(path: string, offset: number, byteLength: number): void {
  const file = openSync(path, "r");
  mapped.push([BigInt(linuxMemory!.mmap(0n, byteLength, readOnly, isPrivate, file, offset)), byteLength]);
  closeSync(file);
}

function makeFile(byteLength: number, name = "weights of a model"): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, Buffer.alloc(byteLength, 7));
  return path;
}

describe.skipIf(process.platform !== "linux")("reading what is mapped", () => {
  test("brings every mapped part of the file into the page table, and nothing of others", async () => {
    const [path, other] = [makeFile(70 << 20), makeFile(1 << 20, "weights of a model.old")];
    map(path, 0, 40 << 20);
    map(path, 64 << 20, 4 << 20);
    map(other, 0, 1 << 20);
    expect(mappedBytes(path)).toEqual({ mapped: 44 << 20, present: 0 });

    expect(await readMapped(path, never)).toBe(true);

    expect(mappedBytes(path)).toEqual({ mapped: 44 << 20, present: 44 << 20 });
    expect(mappedBytes(other)).toEqual({ mapped: 1 << 20, present: 0 });
  });

  test("ends after a piece when it is stopped", async () => {
    const path = makeFile(100 << 20);
    map(path, 0, 100 << 20);
    const stop = new AbortController();
    const reading = readMapped(path, stop.signal);
    stop.abort();

    expect(await reading).toBe(false);

    expect(mappedBytes(path).present).toBeLessThan(64 << 20);
  });

  test("has nothing to do for a file that is not mapped", async () => {
    expect(await readMapped(makeFile(10), never)).toBe(true);
  });

  test("ends at a part that the file has no more", async () => {
    const path = makeFile(1 << 20);
    map(path, 0, 2 << 20);

    expect(await readMapped(path, never)).toBe(false);
  });

  test("says which file is not there", async () => {
    const path = makeFile(10);
    renameSync(path, `${path}.old`);

    await expect(readMapped(path, never)).rejects.toThrow(path);
  });
});
