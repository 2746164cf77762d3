import { expect, test } from "vitest";
import { alignmentBytes, HostDevice } from "../../src/runtime/device.ts";

const device = new HostDevice();

test("memory is aligned, as large as asked for, and can be written to the last byte", () => {
  for (const byteLength of [0, 1, 255, 257, 5_000_001]) {
    const memory = device.allocate(byteLength);

    expect(memory.address % BigInt(alignmentBytes)).toBe(0n);
    expect(memory.byteLength).toBeGreaterThanOrEqual(byteLength);
    new Uint8Array(memory.bytes).fill(0xa5);
    expect(new Uint8Array(memory.bytes).at(-1)).toBe(0xa5);
    memory.dispose();
  }
});

test("what was freed is used again: pictures of many sizes do not make the process grow", () => {
  const before = process.memoryUsage.rss();

  for (let i = 0; i < 200; i++) {
    const sizes = [15e6 * (1 + (i % 7) / 7), 2e6 * (1 + (i % 5) / 5)];
    const pieces = sizes.map((size) => device.allocate(Math.round(size)));
    for (const { bytes } of pieces) new Uint8Array(bytes).fill(1);
    for (const piece of pieces) piece.dispose();
  }

  // At most 34 MB are in use at a time; 3.5 GB would be, were none of it used again.
  expect(process.memoryUsage.rss() - before).toBeLessThan(300e6);
});

test("more than there is fails with the size that was asked for", () => {
  expect(() => device.allocate(2 ** 52)).toThrow(`the system has no ${2 ** 52} bytes of memory left`);
});

test("a block may be larger than any ArrayBuffer: a KV cache of many long slots is", () => {
  const block = device.allocate(5 * 2 ** 30);
  const small = device.allocate(512);
  new Uint8Array(small.bytes).fill(7, 0, 256);

  device.copyRows({ memory: block, offset: block.byteLength - 512, pitch: 256 }, { memory: small, offset: 0, pitch: 128 }, 128, 2);
  device.copyRows({ memory: small, offset: 256, pitch: 128 }, { memory: block, offset: block.byteLength - 512, pitch: 256 }, 128, 2);

  expect(new Uint8Array(small.bytes).every((byte) => byte === 7)).toBe(true);
  [block, small].forEach(({ dispose }) => dispose());
});

test.each([
  ["beyond the end", 600, 500],
  ["before the start", -1, 10],
])("a copy %s is refused and changes nothing", (_, offset, byteLength) => {
  const [a, b] = [device.allocate(1024), device.allocate(1024)];

  expect(() => device.copy({ memory: a, offset: 0 }, { memory: b, offset }, byteLength)).toThrow("do not lie in 1024");
  expect(() => device.copy({ memory: a, offset }, { memory: b, offset: 0 }, byteLength)).toThrow("do not lie in 1024");
  [a, b].forEach(({ dispose }) => dispose());
});
