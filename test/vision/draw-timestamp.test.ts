import sharp from "sharp";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { drawTimestamp, formatTimestamp } from "../../src/vision/draw-timestamp.ts";

const background = [90, 130, 200];

function makeFrame(width: number, height: number) {
  return { width, height, rgb: Uint8Array.from({ length: width * height * 3 }, (_, i) => background[i % 3]!) };
}

/** Mean difference, in levels of 255, from the box of a label that Pillow drew (make_video_fixtures.py). */
async function differenceFrom(name: string, size: number): Promise<number> {
  const frame = makeFrame(size * 16, size * 10);
  await drawTimestamp(frame, "time: 01:23:45.67");
  const file = fileURLToPath(new URL(`../fixtures/vision/${name}.png`, import.meta.url));
  const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
  let sum = 0;
  for (let y = 0; y < info.height; y++) {
    for (let i = 0; i < info.width * 3; i++) sum += Math.abs(frame.rgb[y * frame.width * 3 + i]! - data[y * info.width * 3 + i]!);
  }
  return sum / data.length;
}

test.each([
  [0, "time: 00:00:00.00"],
  [0.125, "time: 00:00:00.12"],
  [0.375, "time: 00:00:00.38"],
  [1.005, "time: 00:00:01.00"],
  [59.996, "time: 00:00:60.00"],
  [75.5, "time: 00:01:15.50"],
  [3661.5, "time: 01:01:01.50"],
  [360_000, "time: 100:00:00.00"],
])("%d s is %s, as in Python", (seconds, text) => {
  expect(formatTimestamp(seconds)).toBe(text);
});

describe("drawTimestamp", () => {
  // Shape and place are those of Pillow; what is left is how two rasterisers count the share of a pixel that is covered.
  test.each([22, 36, 72])("draws what Pillow draws without hinting, %d px high", async (size) => {
    expect(await differenceFrom(`timestamp-${size}-unhinted`, size)).toBeLessThan(2);
  });

  // FreeType's hinter moves stems to whole pixels, by up to half a pixel: the smaller the letters, the more of them are edges.
  test.each([
    [22, 18],
    [36, 16],
    [72, 8],
  ])("comes near what Pillow draws with hinting, %d px high", async (size, tolerance) => {
    expect(await differenceFrom(`timestamp-${size}`, size)).toBeLessThan(tolerance);
  });

  test("changes nothing but the corner", async () => {
    const frame = makeFrame(640, 360);
    await drawTimestamp(frame, formatTimestamp(1.5));

    const isUntouched = (x: number, y: number) => background.every((level, channel) => frame.rgb[(y * 640 + x) * 3 + channel] === level);
    const changed: string[] = []; // an `expect` for each pixel would take seconds
    for (let y = 0; y < 360; y++) {
      for (let x = 0; x < 640; x++) if ((x > 300 || y > 50) && !isUntouched(x, y)) changed.push(`${x}, ${y}`);
    }
    expect(changed).toEqual([]);
    expect(isUntouched(20, 25)).toBe(false);
  });

  test.each([
    [1, 1],
    [9, 400],
    [10, 10],
    [28, 2000],
    [15, 3000],
  ])("fits into a frame of %d x %d", async (width, height) => {
    const frame = makeFrame(width, height);
    await drawTimestamp(frame, formatTimestamp(7));

    expect(frame.rgb).toHaveLength(width * height * 3);
    expect(frame.rgb.some((level, i) => level !== background[i % 3])).toBe(Math.min(width, height) >= 10);
  });
});
