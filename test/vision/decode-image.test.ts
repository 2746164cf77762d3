import { deflateSync } from "node:zlib";
import * as fc from "fast-check";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import { decodeImage } from "../../src/vision/decode-image.ts";
import { createPixelBudget } from "../../src/vision/pixel-budget.ts";
import { writePng, type PngOptions } from "./write-png.ts";

const [width, height] = [7, 5];

/** Bytes without a pattern, the same in every run. */
function bytes(count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => Math.imul(i + 1, 2654435761) >>> 21);
}

function makePng(options: Partial<PngOptions> = {}): Buffer {
  return writePng({ width, height, kind: "rgb", samples: bytes(width * height * 3), ...options });
}

/** A row of pixels, uncompressed. */
function cmykTiff(inks: readonly number[]): Buffer {
  const [header, fieldCount] = [8, 9];
  const bits = header + 2 + 12 * fieldCount + 4; // what four numbers of 16 bits take has no room in a field
  const strip = bits + 8;
  const fields = [
    [256, 3, 1, inks.length / 4],
    [257, 3, 1, 1],
    [258, 3, 4, bits],
    [259, 3, 1, 1],
    [262, 3, 1, 5], // CMYK
    [273, 4, 1, strip],
    [277, 3, 1, 4],
    [278, 3, 1, 1],
    [279, 4, 1, inks.length],
  ];
  const file = Buffer.alloc(strip + inks.length);
  file.write("II*\0\x08", "latin1");
  file.writeUInt16LE(fieldCount, header);
  fields.forEach(([tag = 0, type = 0, count = 0, value = 0], i) => {
    const at = header + 2 + 12 * i;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(type, at + 2);
    file.writeUInt32LE(count, at + 4);
    file.writeUInt32LE(value, at + 8);
  });
  for (let i = 0; i < 4; i++) file.writeUInt16LE(8, bits + 2 * i);
  file.set(inks, strip);
  return file;
}

const decode = (file: Uint8Array) => decodeImage(file, "messages[0].content[1]");

async function refusal(file: Uint8Array): Promise<RequestError> {
  const error: unknown = await decode(file).then(
    () => "was decoded",
    (reason: unknown) => reason,
  );
  if (!(error instanceof RequestError)) throw new Error(`expected a RequestError, got ${String(error)}`);
  return error;
}

describe("decodeImage gives the values in the file", () => {
  const rgb = bytes(width * height * 3);
  const grey = bytes(width * height);
  const repeated = (levels: Uint8Array) => Uint8Array.from({ length: levels.length * 3 }, (_, i) => levels[Math.floor(i / 3)]!);
  const highBytes = (pairs: Uint8Array) => pairs.filter((_, i) => i % 2 === 0);
  const palette = bytes(256 * 3);
  const looked = Uint8Array.from({ length: grey.length * 3 }, (_, i) => palette[grey[Math.floor(i / 3)]! * 3 + (i % 3)]!);
  const opaque = Uint8Array.from({ length: grey.length * 4 }, (_, i) => (i % 4 === 3 ? 255 : rgb[Math.floor(i / 4) * 3 + (i % 4)]!));

  test.each<{ what: string; file: Buffer; expected: Uint8Array }>([
    { what: "8-bit RGB", file: makePng(), expected: rgb },
    { what: "8-bit grey", file: makePng({ kind: "grey", samples: grey }), expected: repeated(grey) },
    { what: "a palette", file: makePng({ kind: "palette", samples: grey, chunks: [["PLTE", palette]] }), expected: looked },
    { what: "opaque RGBA", file: makePng({ kind: "rgba", samples: opaque }), expected: rgb },
    {
      what: "16-bit RGB (high bytes)",
      file: makePng({ bitDepth: 16, samples: bytes(width * height * 6) }),
      expected: highBytes(bytes(width * height * 6)),
    },
    {
      what: "16-bit grey (high bytes)",
      file: makePng({ kind: "grey", bitDepth: 16, samples: bytes(width * height * 2) }),
      expected: repeated(highBytes(bytes(width * height * 2))),
    },
    { what: "RGB with a gamma", file: makePng({ chunks: [["gAMA", Buffer.from("000186a0", "hex")]] }), expected: rgb },
  ])("of $what", async ({ file, expected }) => {
    const image = await decode(file);

    expect([image.width, image.height]).toEqual([width, height]);
    expect([...image.rgb]).toEqual([...expected]);
  });

  test("whatever colour profile it names", async () => {
    const displayP3 = await sharp(makePng()).withIccProfile("p3").png().toBuffer();
    const { icc } = await sharp(displayP3).metadata();
    const profile = Buffer.concat([Buffer.from("p3\0\0", "latin1"), deflateSync(icc!)]);

    const image = await decode(makePng({ chunks: [["iCCP", profile]] }));

    expect([...image.rgb]).toEqual([...rgb]);
  });

  test.each(["webp", "tiff"] as const)("of a lossless %s", async (format) => {
    const file = await sharp(makePng())
      .toFormat(format, format === "webp" ? { lossless: true } : { compression: "lzw" })
      .toBuffer();

    expect([...(await decode(file)).rgb]).toEqual([...rgb]);
  });
});

describe("decodeImage", () => {
  const red = { width: 40, height: 20, channels: 3 as const, background: "#ff0000" };

  test("puts transparent pixels on white, in 8 and 16 bits", async () => {
    const samples = Uint8Array.of(10, 20, 30, 0, 10, 20, 30, 255, 10, 20, 30, 127);
    const wide = Uint8Array.from({ length: 24 }, (_, i) => samples[i >> 1]!);

    const narrow = await decode(writePng({ width: 3, height: 1, kind: "rgba", samples }));
    const deep = await decode(writePng({ width: 3, height: 1, kind: "rgba", bitDepth: 16, samples: wide }));

    for (const { rgb } of [narrow, deep]) {
      expect([...rgb.subarray(0, 6)]).toEqual([255, 255, 255, 10, 20, 30]);
      const half = [10, 20, 30].map((level) => 255 + ((level - 255) * 127) / 255);
      for (const [i, level] of half.entries()) expect(Math.abs(rgb[6 + i]! - level)).toBeLessThan(1);
    }
  });

  test.each([
    { orientation: 3, size: [40, 20], corner: "last" },
    { orientation: 6, size: [20, 40], corner: "top right" },
    { orientation: 8, size: [20, 40], corner: "bottom left" },
  ])("turns a picture of EXIF orientation $orientation upright", async ({ orientation, size, corner }) => {
    const mark = { input: { create: { ...red, width: 8, height: 8, background: "#0000ff" } }, left: 0, top: 0 };
    const file = await sharp({ create: red }).composite([mark]).withMetadata({ orientation }).jpeg().toBuffer();

    const image = await decode(file);

    expect([image.width, image.height]).toEqual(size);
    const blueAt = (x: number, y: number) => image.rgb[(y * image.width + x) * 3 + 2]! > 200;
    const corners = {
      first: blueAt(1, 1),
      "top right": blueAt(image.width - 2, 1),
      "bottom left": blueAt(1, image.height - 2),
      last: blueAt(image.width - 2, image.height - 2),
    };
    expect(Object.entries(corners).flatMap(([name, isBlue]) => (isBlue ? [name] : []))).toEqual([corner]);
  });

  test.each(["jpeg", "webp", "gif", "avif", "tiff"] as const)("reads %s", async (format) => {
    const { width, height, rgb } = await decode(await sharp({ create: red }).toFormat(format).toBuffer());

    expect([width, height, rgb.length]).toEqual([40, 20, 40 * 20 * 3]);
    expect(rgb[0]).toBeGreaterThan(245);
    expect(rgb[1]).toBeLessThan(10);
  });

  test.each(["mif1", "msf1"])("reads AVIF that names the brand %s first", async (brand) => {
    const file = await sharp({ create: red }).avif().toBuffer();
    expect(file.toString("latin1", 4, 12)).toBe("ftypavif");
    file.write(brand, 8, "latin1");

    expect(await decode(file)).toMatchObject({ width: 40, height: 20 });
  });

  test("takes the first frame of an animation", async () => {
    const frames = await Promise.all(
      ["#ff0000", "#00ff00"].map((background) =>
        sharp({ create: { ...red, background } })
          .png()
          .toBuffer(),
      ),
    );
    const file = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();

    const { width, height, rgb } = await decode(file);

    expect([width, height, rgb[0], rgb[1]]).toEqual([40, 20, 255, 0]);
  });

  test("turns CMYK into the RGB of Pillow's convert", async () => {
    const inks = [0, 0, 0, 0, 255, 0, 0, 0, 10, 100, 200, 50, 3, 7, 250, 254, 128, 64, 32, 255, 77, 200, 13, 99];
    const pillow = [255, 255, 255, 0, 255, 255, 197, 125, 44, 1, 1, 0, 0, 0, 0, 109, 34, 148];

    const { width, rgb } = await decode(cmykTiff(inks));

    expect([width, ...rgb]).toEqual([6, ...pillow]);
  });

  test("turns a JPEG in CMYK into RGB", async () => {
    const file = await sharp({ create: red }).toColourspace("cmyk").jpeg().toBuffer();

    const { rgb } = await decode(file);

    expect(rgb.length).toBe(40 * 20 * 3);
    expect(rgb[0]).toBeGreaterThan(rgb[1]! + 100);
  });
});

describe("decodeImage refuses with 400 and the field's name", () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="60"><rect width="60" height="60"/></svg>';

  test.each([
    { what: "no bytes", file: Buffer.alloc(0), code: "empty_image_file", message: "0 bytes" },
    { what: "text", file: Buffer.from("hello"), code: "invalid_image_format", message: "PNG, JPEG, WebP, GIF, AVIF, TIFF" },
    { what: "SVG", file: Buffer.from(svg), code: "unsupported_image_media_type", message: "SVG" },
    {
      what: "SVG behind XML",
      file: Buffer.from(`\ufeff<?xml version="1.0"?>\n${svg}`),
      code: "unsupported_image_media_type",
      message: "SVG",
    },
    { what: "BMP", file: Buffer.from(`BM${"\0".repeat(60)}`), code: "unsupported_image_media_type", message: "BMP" },
    { what: "HEIC, as phones take them", file: Buffer.from("\0\0\0\x18ftypheic"), code: "unsupported_image_media_type", message: "HEIC" },
    {
      what: "HEIC that names a general brand first",
      file: Buffer.from("\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf"),
      code: "unsupported_image_media_type",
      message: "HEIC",
    },
    { what: "bare JPEG XL", file: Buffer.from("\xff\n", "latin1"), code: "unsupported_image_media_type", message: "JPEG-XL" },
    { what: "JPEG XL in a box", file: Buffer.from("\0\0\0\x0cJXL "), code: "unsupported_image_media_type", message: "JPEG-XL" },
    { what: "a header alone", file: makePng().subarray(0, 20), code: "invalid_image", message: "PNG" },
    { what: "a cut-off PNG", file: makePng().subarray(0, 100), code: "image_parse_error", message: "cut off" },
    {
      what: "a far too long picture",
      file: writePng({ width: 201, height: 1, kind: "grey", samples: bytes(201) }),
      code: "image_too_small",
      message: "201x1",
    },
  ])("$what", async ({ file, code, message }) => {
    const error = await refusal(file);

    expect({ status: error.status, code: error.code, param: error.param }).toEqual({ status: 400, code, param: "messages[0].content[1]" });
    expect(error.message).toContain(message);
  });

  test("more pixels than the limit, by the header alone", async () => {
    const declared = (height: number) => writePng({ width: 8000, height, kind: "grey", samples: new Uint8Array(height) });

    expect((await refusal(declared(60_000))).code).toBe("image_too_large");
    expect((await refusal(declared(5001))).message).toContain("8000x5001 = 40008000 pixels, and the limit is 40000000");
    expect((await refusal(declared(5000))).code).toBe("image_parse_error"); // its pixels were looked for
  });

  test("more pixels than the request has left, and all that follow, before decoding any", async () => {
    const pixels = width * height;
    const budget = createPixelBudget(2 * pixels + 1);
    const decodeNext = (file: Uint8Array) => decodeImage(file, "picture", budget);
    const large = writePng({ width: 6000, height: 6000, kind: "grey", samples: new Uint8Array(60_000) });

    await Promise.all([decodeNext(makePng()), decodeNext(makePng())]);

    for (const file of [large, makePng(), makePng()]) {
      await expect(decodeNext(file)).rejects.toMatchObject({
        status: 400,
        code: "image_too_large",
        message: expect.stringMatching(/together/),
      });
    }
  });

  test("nothing that just fits; pictures that turn out to be damaged count too", async () => {
    const budget = createPixelBudget(2 * width * height);

    await expect(decodeImage(makePng().subarray(0, 100), "cut", budget)).rejects.toMatchObject({
      code: "image_parse_error",
    });
    await decodeImage(makePng(), "whole", budget);

    expect(budget[0]).toBe(0n);
  });

  test.each(["png", "jpeg", "webp", "gif", "avif", "tiff"] as const)("a %s cut off anywhere", async (format) => {
    const noise = { raw: { width: 64, height: 48, channels: 3 as const } };
    const file = await sharp(bytes(64 * 48 * 3), noise)
      .toFormat(format)
      .toBuffer();

    for (let part = 0.05; part < 0.95; part += 0.1) {
      const error = await refusal(file.subarray(0, Math.floor(file.length * part)));

      expect(error.code).toMatch(/^(invalid_image|image_parse_error)$/);
      expect(error.message).not.toMatch(/vips|libpng|0x|buffer/i);
    }
  });

  test("damaged bytes, or decodes them, and never fails in another way", async () => {
    const files = await Promise.all(
      (["png", "jpeg", "webp", "gif", "avif", "tiff"] as const).map((format) => sharp(makePng()).toFormat(format).toBuffer()),
    );
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...files), damage, async (file, changes) => {
        const damaged = Buffer.from(file);
        for (const [place, value] of changes) damaged[place % damaged.length] = value;

        const outcome: unknown = await decodeImage(damaged, "picture", createPixelBudget(1_000_000)).catch((reason: unknown) => reason);

        if (!(outcome instanceof RequestError)) expect(outcome).toHaveProperty("rgb");
      }),
      { numRuns: 200 },
    );
  });
});
