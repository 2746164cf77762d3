import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { SeededRandom } from "../../src/loadgen/seeded-random.ts";
import { frameTime, sampleFrames } from "../../src/vision/sample-frames.ts";
import { toVideoConfig } from "../../src/vision/video-config.ts";

const published = toVideoConfig();

describe("sampleFrames", () => {
  test.each([
    { frameCount: 300, fps: 30, length: 20, first: [0, 15, 30, 45] },
    { frameCount: 90, fps: 30, length: 16, first: [0, 5, 11, 16] },
    { frameCount: 9000, fps: 30, length: 180, first: [0, 50, 100, 150] },
    { frameCount: 3, fps: 30, length: 3, first: [0, 1, 2] },
    { frameCount: 1, fps: 25, length: 1, first: [0] },
  ])("takes $length of $frameCount frames at $fps a second", ({ frameCount, fps, length, first }) => {
    const indices = sampleFrames({ frameCount, fps }, {}, published);

    expect(indices).toHaveLength(length);
    expect(indices.slice(0, 4)).toEqual(first);
  });

  test("takes the frames that NumPy takes", () => {
    type Row = [
      frames: number,
      videoFps: number,
      fps: number,
      least: number,
      most: number,
      choice: "leading",
      length: number,
      hash: string,
    ];
    const rows = JSON.parse(readFileSync(new URL("../fixtures/vision/frame-indices.json", import.meta.url), "utf8")) as Row[];
    for (const [frameCount, videoFps, fps, minFrames, maxFrames, choice, length, hash] of rows) {
      const indices = sampleFrames({ frameCount, fps: videoFps }, { fps, minFrames, maxFrames, choice }, published);

      expect(indices).toHaveLength(length);
      expect(createHash("sha256").update(JSON.stringify(indices)).digest("hex").slice(0, 16)).toBe(hash);
    }
    expect(rows).toHaveLength(200);
  });

  test.each([
    { what: "a number before all else", wishes: { targetFrames: 4, fps: 10, minFrames: 9 }, expected: [0, 75, 150, 225] },
    { what: "the middle of each piece", wishes: { targetFrames: 4, choice: "middle" as const }, expected: [37, 112, 187, 262] },
    { what: "a maximum below the model's minimum", wishes: { maxFrames: 2 }, expected: [0, 150] },
    { what: "a minimum above the model's maximum", wishes: { minFrames: 300 }, expected: Array.from({ length: 300 }, (_, i) => i) },
  ])("obeys $what", ({ wishes, expected }) => {
    expect(sampleFrames({ frameCount: 300, fps: 30 }, wishes, published)).toEqual(expected);
  });

  test.each([{ fps: 1 }, { targetFrames: 100 }])(
    "takes one frame of each second, not always the same, where they are random: %o",
    (wishes) => {
      // Seeded: in one of 60 runs, the last time would be rounded to the end of the video, where no frame is.
      const seeded = new SeededRandom(1);
      const random = vi.spyOn(Math, "random").mockImplementation(() => seeded.unit());
      onTestFinished(() => random.mockRestore());
      const indices = sampleFrames({ frameCount: 3000, fps: 30 }, { ...wishes, choice: "rand" }, published);

      const places = indices.map((index, second) => index - 30 * second);
      expect(places).toHaveLength(100);
      expect(places.filter((place) => place < 0 || place > 30)).toEqual([]); // 30: a time is rounded to the nearest frame
      expect(new Set(places).size).toBeGreaterThan(5);
    },
  );

  test("gives existing frames in order, few enough, whatever is asked", () => {
    const wishes = fc.record(
      {
        fps: fc.double({ min: 0.01, max: 120, noNaN: true }),
        minFrames: fc.integer({ min: 1, max: 512 }),
        maxFrames: fc.integer({ min: 1, max: 512 }),
        targetFrames: fc.integer({ min: 1, max: 512 }),
        choice: fc.constantFrom("leading", "middle", "rand"),
      },
      { requiredKeys: [] },
    );
    const video = fc.record({ frameCount: fc.integer({ min: 1, max: 50_000 }), fps: fc.double({ min: 0.1, max: 240, noNaN: true }) });

    fc.assert(
      fc.property(video, wishes, (length, given) => {
        const indices = sampleFrames(length, given, published);

        expect(indices.length).toBeGreaterThan(0);
        // The rate may give one more than the whole number that is compared with the bounds, as the reference does.
        expect(indices.length).toBeLessThanOrEqual((given.targetFrames ?? given.maxFrames ?? Math.max(180, given.minFrames ?? 0)) + 1);
        expect(indices.every((index, i) => Number.isInteger(index) && index >= (indices[i - 1] ?? 0) && index < length.frameCount)).toBe(
          true,
        );
      }),
    );
  });
});

test("a frame's time is its share of the duration", () => {
  expect(frameTime(45, { frameCount: 90, fps: 30 })).toBe(1.5);
});
