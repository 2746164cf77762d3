// Decodes an image file to 8-bit RGB pixels. Bad pictures are refused here, by their header if possible. The decoder's own messages are never
// sent to a client.

import sharp, { type SharpOptions } from "sharp";
import { RequestError } from "../core/errors.ts";
import { decodableFormats, isDecodable, sniffFormat, type ImageFormat } from "./image-format.ts";
import { countJpegScans } from "./jpeg-scans.ts";
import { withoutPngTexts } from "./png-texts.ts";
import { type PixelBudget, takePixels } from "./pixel-budget.ts";
import type { RgbImage } from "./rgb-image.ts";
import { maxAspectRatio, type Size } from "./smart-resize.ts";

/** Pixels of the file, before scaling. */
export const maxSourcePixels = 40_000_000;

/** Time in native code. Only malicious files take longer (40 megapixels of AVIF take 2 s on a busy core). */
const maxDecodeSeconds = 10;

/** Encoders write up to about 20. The native time limit is not checked between scans; 64 scans of 40 megapixels take 1 to 4 s. */
const maxJpegScans = 64;

const white = { r: 255, g: 255, b: 255 };
const accepted = decodableFormats.map(formatName).join(", ");

/**
 * The picture as it is meant to be seen: rotated by its EXIF tag, on white where it is transparent, the first frame of an animation. Colour
 * profiles are ignored and CMYK is converted by Pillow's plain formula, as in the reference, so an 8-bit RGB PNG gives exactly the values in the file.
 * Its pixels are taken from `budget`. Throws RequestError 400 with `param` and an image code of the OpenAI API.
 */
export async function decodeImage(bytes: Uint8Array, param: string, budget?: PixelBudget): Promise<RgbImage> {
  const refuse = (code: string, message: string, cause?: unknown) => new RequestError(message, { code, param, cause });
  if (bytes.length === 0) throw refuse("empty_image_file", `expected an image file, got 0 bytes; send one of: ${accepted}`);
  const format = sniffFormat(bytes);
  if (format === undefined) {
    throw refuse("invalid_image_format", `expected an image file, got data in an unknown format; send one of: ${accepted}`);
  }
  const name = formatName(format);
  if (format === "pdf") {
    const message = 'expected an image file, got a PDF; send it as a document: a part of type "file", "input_file" or "document"';
    throw refuse("unsupported_image_media_type", message);
  }
  if (!isDecodable(format)) throw refuse("unsupported_image_media_type", `${name} images are not supported; send one of: ${accepted}`);
  if (format === "jpeg" && countJpegScans(bytes) > maxJpegScans) {
    throw refuse("invalid_image", `the JPEG image has more than ${maxJpegScans} scans; save it again, with or without progressive scans`);
  }

  const file = format === "png" ? withoutPngTexts(bytes) : bytes;
  const { isCmyk, ...size } = await readHeader(file).catch((cause: unknown) => {
    throw refuse("invalid_image", `the header of the ${name} image is damaged; send an intact file`, cause);
  });
  const refusal = checkSize(size);
  if (refusal) throw refuse(refusal.code, refusal.message);
  if (budget && !takePixels(budget, size.width * size.height)) {
    throw tooManyPixels(param);
  }

  return decodePixels(file, isCmyk).catch((cause: unknown) => {
    const isSlow = /timeout: \d+% complete/.test(String(cause)); // libvips's message for its timeout
    if (isSlow) throw refuse("image_parse_error", `the ${name} image takes more than ${maxDecodeSeconds} s to decode; scale it down`);
    throw refuse("image_parse_error", `the ${name} image is damaged or cut off; send an intact file`, cause);
  });
}

export function tooManyPixels(param: string): RequestError {
  const message = "the images of this request have too many pixels together; send fewer or scale them down";
  return new RequestError(message, { code: "image_too_large", param });
}

// "error" accepts what viewers accept (stray bytes between JPEG markers) and fails on missing or undecodable pixels.
const reading: SharpOptions = { failOn: "error", ignoreIcc: true, autoOrient: true };

async function readHeader(bytes: Uint8Array): Promise<Size & { readonly isCmyk: boolean }> {
  const { width, height, space, channels, depth } = await sharp(bytes, { ...reading, limitInputPixels: false }).metadata();
  return { width, height, isCmyk: space === "cmyk" && channels === 4 && depth === "uchar" };
}

function checkSize({ width, height }: Size): { code: string; message: string } | undefined {
  if (width * height > maxSourcePixels) {
    const message = `the image has ${width}x${height} = ${width * height} pixels, and the limit is ${maxSourcePixels}; scale it down`;
    return { code: "image_too_large", message };
  }
  if (Math.max(width, height) > maxAspectRatio * Math.min(width, height)) {
    const message = `the image has ${width}x${height} pixels, and one side may be at most ${maxAspectRatio} times the other; crop or pad it`;
    return { code: "image_too_small", message };
  }
  return undefined;
}

async function decodePixels(bytes: Uint8Array, isCmyk: boolean): Promise<RgbImage> {
  const image = sharp(bytes, { ...reading, limitInputPixels: maxSourcePixels });
  const converted = isCmyk
    ? image.pipelineColourspace("cmyk").toColourspace("cmyk") // that is, not at all: libvips would convert to what a printer shows
    : image.flatten({ background: white }).toColourspace("srgb");
  const { data, info } = await converted
    .raw({ depth: "uchar" })
    .timeout({ seconds: maxDecodeSeconds })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if (channels !== (isCmyk ? 4 : 3)) throw new Error(`decoded to ${channels} channels`);
  return { width, height, rgb: isCmyk ? cmykToRgb(data) : data };
}

/** Pillow's formula, (1 − ink) · (1 − black), with its rounding. Overwrites the pixels: the result is the first three quarters of their memory. */
function cmykToRgb(pixels: Uint8Array): Uint8Array {
  let to = 0;
  for (let from = 0; from < pixels.length; from += 4) {
    const paper = 255 - pixels[from + 3]!;
    for (let ink = from; ink < from + 3; ink++) {
      const product = pixels[ink]! * paper + 128;
      pixels[to++] = paper - (((product >> 8) + product) >> 8);
    }
  }
  return pixels.subarray(0, to);
}

function formatName(format: ImageFormat): string {
  return format === "webp" ? "WebP" : format.toUpperCase();
}
