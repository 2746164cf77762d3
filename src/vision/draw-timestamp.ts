// Draws the time of a frame in its top left corner, as in the model's training data (model spec, 5.3): black with a white outline.

import sharp from "sharp";
import type { RgbImage } from "./rgb-image.ts";
import { roundHalfEven } from "./round-half-even.ts";
import { ascent, glyphs, unitsPerSize } from "./timestamp-font.ts";

/** `time: HH:MM:SS.ss` */
export function formatTimestamp(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const pad = (value: number) => String(value).padStart(2, "0");
  return `time: ${pad(hours)}:${pad(minutes)}:${twoDecimals(seconds % 60).padStart(5, "0")}`;
}

/** Formats as Python does: exact ties, which only multiples of 1/8 can be, round to the even digit. */
function twoDecimals(value: number): string {
  return Number.isInteger(value * 8) ? (roundHalfEven(value * 100) / 100).toFixed(2) : value.toFixed(2);
}

/** Draws into the image. The font size is a tenth of the shorter side, and the outline a tenth of that, in whole pixels. */
export async function drawTimestamp(image: RgbImage, text: string): Promise<void> {
  const size = Math.floor(Math.min(image.width, image.height) * 0.1);
  if (size === 0) return;
  const width = Math.min(image.width, Math.ceil(lineWidth(text, size)) + size);
  const height = Math.min(image.height, 2 * size);
  const svg = Buffer.from(toSvg(text, size, width, height));
  const label = await sharp(svg).ensureAlpha().raw().toBuffer();
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = 4 * (y * width + x);
      const to = 3 * (y * image.width + x);
      const alpha = label[from + 3]! / 255;
      if (alpha === 0) continue;
      for (let channel = 0; channel < 3; channel++) {
        const below = image.rgb[to + channel]!;
        image.rgb[to + channel] = Math.round(below + (label[from + channel]! - below) * alpha);
      }
    }
  }
}

function lineWidth(text: string, size: number): number {
  return ([...text].reduce((sum, character) => sum + glyphs[character]!.width, 0) * size) / unitsPerSize;
}

function toSvg(text: string, size: number, width: number, height: number): string {
  const scale = size / unitsPerSize;
  const baseline = Math.ceil(ascent * scale);
  let left = 0;
  const paths = [...text].map((character) => {
    const glyph = glyphs[character]!;
    const path = `<path transform="translate(${left} ${baseline}) scale(${scale} ${-scale})" d="${glyph.outline}"/>`;
    left += glyph.width * scale;
    return path;
  });
  const outline = Math.floor(size * 0.1);
  const stroke = `stroke="#fff" stroke-width="${(2 * outline) / scale}" stroke-linejoin="round"`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `<g fill="#fff" ${outline > 0 ? stroke : ""}>${paths.join("")}</g><g>${paths.join("")}</g></svg>`
  );
}
