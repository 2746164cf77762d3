import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { countJpegScans } from "../../src/vision/jpeg-scans.ts";
import { decodeImage } from "../../src/vision/decode-image.ts";
import { manyScans } from "./many-scans.ts";

const noise = {
  create: {
    width: 96,
    height: 64,
    channels: 3 as const,
    background: "#808080",
    noise: { type: "gaussian" as const, mean: 128, sigma: 40 },
  },
};

describe("countJpegScans", () => {
  test.each([
    ["baseline", { progressive: false }, 1],
    ["progressive", { progressive: true }, 10],
    ["progressive with optimised scans", { mozjpeg: true }, 10],
  ])("of a %s JPEG as libvips writes it", async (_, options, most) => {
    const file = await sharp(noise)
      .withMetadata({ exif: { IFD0: { Copyright: "ÿÚ".repeat(100) } } })
      .jpeg(options)
      .toBuffer(); // FF DA in a segment

    const count = countJpegScans(file);

    expect(count).toBeGreaterThanOrEqual(Math.min(most, 3));
    expect(count).toBeLessThanOrEqual(most);
  });

  test.each([
    ["no bytes", [], 0],
    ["a start alone", [0xff, 0xd8, 0xff], 0],
    ["stuffed and restart bytes in a scan", [0xff, 0xd8, 0xff, 0xda, 0, 2, 1, 0xff, 0, 0xff, 0xd3, 2, 0xff, 0xd9], 1],
    ["fill bytes before a marker", [0xff, 0xd8, 0xff, 0xff, 0xff, 0xda, 0, 2, 0xff, 0xda, 0, 2], 2],
    ["a scan's marker within a segment", [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xda, 0, 2, 0xff, 0xda, 0, 2], 1],
    ["scans behind the end", [0xff, 0xd8, 0xff, 0xda, 0, 2, 0xff, 0xd9, 0xff, 0xda, 0, 2], 1],
    ["a segment longer than the file", [0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff, 0xff, 0xda], 0],
  ])("of %s", (_, bytes, count) => {
    expect(countJpegScans(Uint8Array.from(bytes))).toBe(count);
  });
});

test("a JPEG of very many scans is refused before it is decoded, one of some is not", async () => {
  const decode = (scanCount: number) => decodeImage(manyScans(64, scanCount), "picture");

  expect(countJpegScans(manyScans(64, 65))).toBe(65);
  expect(await decode(64)).toMatchObject({ width: 64, height: 64 });
  await expect(decode(65)).rejects.toMatchObject({
    status: 400,
    code: "invalid_image",
    message: expect.stringMatching(/more than 64 scans/),
  });
});
