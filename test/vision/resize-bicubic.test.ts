import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { resizeBicubic } from "../../src/vision/resize-bicubic.ts";

type Row = [kind: "noise" | "smooth", seed: number, width: number, height: number, newWidth: number, newHeight: number, sha256: string];
const table = JSON.parse(readFileSync(new URL("../fixtures/vision/resize-bicubic.json", import.meta.url), "utf8")) as { rows: Row[] };

/** The same bytes as `noise` in make_fixtures.py. */
function noise(width: number, height: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, index) => {
    const value = Math.imul(index + seed * 7919, 2654435761);
    return Math.imul(value ^ (value >>> 15), 2246822519) >>> 24;
  });
}

/** The same bytes as `smooth` in make_fixtures.py. */
function smooth(width: number, height: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, index) => {
    const channel = index % 3;
    const x = Math.floor(index / 3) % width;
    const y = Math.floor(index / 3 / width);
    const wave = (x * (3 + (seed % 5)) + y * (2 + (seed % 3)) + channel * 85) % 510;
    return wave > 255 ? 510 - wave : wave;
  });
}

describe("resizeBicubic", () => {
  test("gives Pillow's pixels bit for bit: shrinking, enlarging, near 1:1, one axis only, single pixels", () => {
    const differing = table.rows.filter(([kind, seed, width, height, newWidth, newHeight, sha256]) => {
      const rgb = (kind === "noise" ? noise : smooth)(width, height, seed);
      const resized = resizeBicubic({ width, height, rgb }, { width: newWidth, height: newHeight });
      expect([resized.width, resized.height, resized.rgb.length]).toEqual([newWidth, newHeight, newWidth * newHeight * 3]);
      return createHash("sha256").update(resized.rgb).digest("hex") !== sha256;
    });

    expect(differing).toEqual([]);
  });

  test("leaves a picture alone whose size is right already", () => {
    const image = { width: 4, height: 3, rgb: noise(4, 3, 1) };

    expect(resizeBicubic(image, { width: 4, height: 3 })).toBe(image);
  });

  test("keeps the pixels it was given", () => {
    const image = { width: 9, height: 7, rgb: noise(9, 7, 1) };
    const before = image.rgb.slice();

    resizeBicubic(image, { width: 28, height: 28 });

    expect(image.rgb).toEqual(before);
  });
});
