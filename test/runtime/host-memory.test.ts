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
