import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { VisionSpan } from "../../src/core/prompt.ts";
import { cutVideo } from "../../src/engine/cut-video.ts";

function makeSpan(frameCount: number, patchRows: number, patchColumns: number, hash = "v"): VisionSpan {
  const frameBytes = patchRows * patchColumns * 2;
  const patches = Uint8Array.from({ length: frameCount * frameBytes }, (_, i) => Math.floor(i / frameBytes));
  const length = (Math.max(1, frameCount / 2) * patchRows * patchColumns) / 4;
  return { start: 7, length, image: { hash, patches, frameCount, patchRows, patchColumns } };
}

test("the pieces of a video are its frames and tokens in order, in pairs, as many as a step may take", () => {
  const sides = fc.constantFrom(2, 4, 6);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), sides, sides, fc.nat(400), (pairs, rows, columns, maxPatches) => {
      const span = makeSpan(2 * pairs, rows, columns);
      const pieces = cutVideo(span, maxPatches);
      let [token, frame] = [span.start, 0];
      for (const { start, length, image } of pieces) {
        expect(start).toBe(token);
        expect(length).toBe(((image.frameCount / 2) * rows * columns) / 4);
        expect(image.frameCount === 2 || image.frameCount * rows * columns <= maxPatches).toBe(true);
        expect([...new Set(image.patches)]).toEqual(Array.from({ length: image.frameCount }, (_, i) => frame + i));
        token += length;
        frame += image.frameCount;
      }
      expect([token, frame]).toEqual([span.start + span.length, 2 * pairs]);
      expect(new Set(pieces.map(({ image }) => image.hash)).size).toBe(pieces.length);
    }),
    { numRuns: 200, seed: 8 },
  );
});

test("pieces of different videos, or other pieces of the same one, are never taken for each other", () => {
  const hashes = [4, 8].flatMap((maxPatches) => ["v", "w"].flatMap((hash) => cutVideo(makeSpan(6, 2, 2, hash), maxPatches * 2)));
  const contents = new Map(hashes.map(({ image }) => [image.hash, `${image.hash[0]} ${[...new Set(image.patches)].join(" ")}`]));
  for (const { image } of hashes) expect(contents.get(image.hash)).toBe(`${image.hash[0]} ${[...new Set(image.patches)].join(" ")}`);
  expect(new Set(contents.values()).size).toBe(contents.size);
});

test("a picture, however large, and a video that fits are left as they are", () => {
  const picture = makeSpan(1, 4, 4);
  const video = makeSpan(4, 2, 2);
  expect(cutVideo(picture, 4)).toEqual([picture]);
  expect(cutVideo(video, 16)).toEqual([video]);
});
