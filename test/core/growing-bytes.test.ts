import { expect, test } from "vitest";
import { GrowingBytes } from "../../src/core/growing-bytes.ts";

test("holds all pieces, in little more memory than their bytes", () => {
  const grown = new GrowingBytes();
  for (let i = 0; i < 100_000; i++) grown.add(Uint8Array.of(i % 251));

  expect(grown.length).toBe(100_000);
  expect(grown.bytes.every((byte, i) => byte === i % 251)).toBe(true);
  expect(grown.bytes.buffer.byteLength).toBeLessThanOrEqual(2 * 100_000);
});

test("takes pieces of any length, empty ones too", () => {
  const grown = new GrowingBytes();
  expect(grown.bytes).toHaveLength(0);

  for (const text of ["", "ab", "", "c".repeat(1000), "d"]) grown.add(Buffer.from(text));

  expect(grown.bytes.toString()).toBe(`ab${"c".repeat(1000)}d`);
});
