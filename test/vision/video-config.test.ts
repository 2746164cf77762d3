import { expect, test } from "vitest";
import { toVideoConfig, videoSettings } from "../../src/vision/video-config.ts";

// Frames of 299 to 1,196 tokens, each of 28 × 28 pixels.
const published = {
  pixels: { minPixels: 234_416, maxPixels: 937_664 },
  fps: 2,
  minFrames: 16,
  maxFrames: 180,
  drawsTimestamps: true,
};

test("what a file does not say is as published", () => {
  expect(toVideoConfig()).toEqual(published);
  expect(toVideoConfig({ size: { shortest_edge: null }, fps: null, max_frames: 8 })).toEqual({ ...published, maxFrames: 8 });
});

test("what a file says holds", () => {
  const file = { size: { shortest_edge: 784, longest_edge: 1568 }, fps: 0.5, min_frames: 1, max_frames: 3, draw_on_frames: false };

  expect(toVideoConfig(file)).toEqual({
    pixels: { minPixels: 784, maxPixels: 1568 },
    fps: 0.5,
    minFrames: 1,
    maxFrames: 3,
    drawsTimestamps: false,
  });
});

test.each([{ fps: 0 }, { fps: "2" }, { min_frames: 0 }, { max_frames: 1.5 }, { size: { longest_edge: -1 } }, { draw_on_frames: 1 }])(
  "%j is an error",
  (file) => {
    expect(videoSettings.safeParse(file).success).toBe(false);
  },
);
