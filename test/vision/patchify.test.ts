import { describe, expect, test } from "vitest";
import { gridPositions } from "../../src/core/vision-grid.ts";
import { toImagePatches } from "../../src/vision/patchify.ts";

/** Every byte tells where it comes from: modulo a prime, so that neighbours, rows and channels differ. */
function makeFrame(width: number, height: number, offset = 0) {
  return { width, height, rgb: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i + offset) % 251) };
}

describe("gridPositions", () => {
  test("lists windows row by row and the four patches of a window together", () => {
    const positions = Array.from(gridPositions(4, 4), Number);

    const pairs = Array.from({ length: 16 }, (_, i) => `${positions[2 * i]},${positions[2 * i + 1]}`);
    expect(pairs.join(" ")).toBe("0,0 0,1 1,0 1,1 0,2 0,3 1,2 1,3 2,0 2,1 3,0 3,1 2,2 2,3 3,2 3,3");
  });
});

describe("toImagePatches", () => {
  test("writes each patch as channel, y, x", () => {
    const frame = makeFrame(56, 84);

    const { patches, frameCount, patchRows, patchColumns } = toImagePatches(frame);

    expect({ frameCount, patchRows, patchColumns }).toEqual({ frameCount: 1, patchRows: 6, patchColumns: 4 });
    const grid = gridPositions(6, 4);
    for (let patch = 0; patch < 24; patch++) {
      const [row, column] = [Number(grid[2 * patch]), Number(grid[2 * patch + 1])];
      for (const [channel, y, x] of [
        [0, 0, 0],
        [2, 0, 13],
        [1, 13, 0],
        [2, 13, 13],
      ] as const) {
        const source = ((row * 14 + y) * 56 + column * 14 + x) * 3 + channel;
        expect(patches[patch * 588 + channel * 196 + y * 14 + x]).toBe(frame.rgb[source]);
      }
    }
  });

  test("gives equal pixels equal hashes and others another", () => {
    const hashes = [makeFrame(28, 56), makeFrame(56, 28), makeFrame(28, 56, 1)].map((frame) => toImagePatches(frame).hash);

    expect(toImagePatches(makeFrame(28, 56)).hash).toBe(hashes[0]);
    expect(new Set(hashes).size).toBe(3);
    expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
  });

  test("refuses a picture that is not made of whole windows", () => {
    expect(() => toImagePatches(makeFrame(28, 42))).toThrow("28x42");
  });
});
