// Pictures for calibration, drawn on demand: simple vector drawings of what people send most, and noise.

import sharp from "sharp";
import { randomUnit } from "../../model/draw-token.ts";

const font = 'font-family="DejaVu Sans, Arial, sans-serif"';

/** Each an SVG document. */
const drawings = {
  barChart: svg(
    448,
    336,
    [
      label(224, 30, 20, "Visitors per month", "middle"),
      ...[120, 180, 90, 240, 200, 150].map(
        (height, i) => `<rect x="${50 + i * 62}" y="${290 - height}" width="42" height="${height}" fill="hsl(${i * 50},65%,50%)"/>`,
      ),
      ...["Jan", "Feb", "Mar", "Apr", "May", "Jun"].map((month, i) => label(71 + i * 62, 312, 15, month, "middle")),
      '<path d="M40 50V290H430" stroke="black" fill="none" stroke-width="2"/>',
    ].join(""),
  ),
  lineChart: svg(
    448,
    280,
    [
      ...[60, 110, 160, 210].map((y) => `<path d="M40 ${y}H430" stroke="#ddd"/>`),
      '<polyline points="40,200 100,180 160,190 220,120 280,130 340,80 420,60" fill="none" stroke="#c03" stroke-width="4"/>',
      '<polyline points="40,90 100,100 160,140 220,150 280,180 340,190 420,205" fill="none" stroke="#06c" stroke-width="4"/>',
      label(350, 55, 15, "imports", "start"),
      label(350, 235, 15, "exports", "start"),
    ].join(""),
  ),
  receipt: svg(
    308,
    448,
    [
      label(154, 40, 22, "CORNER CAFE", "middle"),
      label(154, 64, 13, "12 River Street", "middle"),
      ...[
        "2 x Espresso      5.00",
        "1 x Bagel         3.40",
        "1 x Apple juice   2.80",
        "Subtotal         11.20",
        "Tax 8 %           0.90",
      ].map((line, i) => mono(24, 116 + i * 34, line)),
      '<path d="M20 282H288" stroke="black" stroke-dasharray="6 4"/>',
      mono(24, 320, "TOTAL            12.10"),
      label(154, 400, 15, "Thank you! 14:32  2024-05-17", "middle"),
    ].join(""),
  ),
  shapes: svg(
    336,
    336,
    [
      '<circle cx="90" cy="90" r="60" fill="#d22"/>',
      '<rect x="190" y="40" width="110" height="110" fill="#22c"/>',
      '<polygon points="90,190 160,310 20,310" fill="#2a2"/>',
      '<polygon points="245,190 262,235 310,237 272,267 286,313 245,286 204,313 218,267 180,237 228,235" fill="#fb0"/>',
    ].join(""),
  ),
  flowDiagram: svg(
    448,
    308,
    [
      box(20, 120, "Client"),
      box(170, 120, "Queue"),
      box(320, 40, "Worker A"),
      box(320, 200, "Worker B"),
      '<path d="M128 145H170M278 135L320 70M278 155L320 225" stroke="black" stroke-width="2" fill="none"/>',
    ].join(""),
  ),
  table: svg(
    420,
    252,
    [
      ...[0, 1, 2, 3, 4].map((row) => `<path d="M20 ${30 + row * 48}H400" stroke="black"/>`),
      ...[20, 170, 290, 400].map((x) => `<path d="M${x} 30V222" stroke="black"/>`),
      ...[
        ["City", "People", "Area"],
        ["Lisbon", "545,000", "100 km²"],
        ["Oslo", "709,000", "454 km²"],
        ["Hanoi", "8,054,000", "3,359 km²"],
      ].flatMap((cells, row) => cells.map((cell, column) => label(30 + [0, 150, 270][column]!, 60 + row * 48, 16, cell, "start"))),
    ].join(""),
  ),
  geometry: svg(
    336,
    280,
    [
      '<polygon points="40,230 290,230 40,60" fill="#eef" stroke="black" stroke-width="3"/>',
      '<path d="M40 210H60V230" fill="none" stroke="black"/>',
      label(160, 258, 20, "4 cm", "middle"),
      label(10, 150, 20, "3", "start"),
      label(185, 130, 20, "x", "start"),
    ].join(""),
  ),
  landscape: svg(
    448,
    336,
    [
      '<defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="#27c"/><stop offset="1" stop-color="#fdb"/></linearGradient></defs>',
      '<rect width="448" height="336" fill="url(#sky)"/><circle cx="340" cy="90" r="38" fill="#fe9"/>',
      '<polygon points="0,250 110,110 220,250" fill="#567"/><polygon points="130,250 270,80 420,250" fill="#456"/>',
      '<path d="M0 250Q112 220 224 250T448 250V336H0Z" fill="#384"/><rect x="300" y="225" width="60" height="45" fill="#a43"/>',
      '<polygon points="292,225 330,190 368,225" fill="#622"/>',
    ].join(""),
  ),
  sign: svg(
    308,
    308,
    [
      '<polygon points="154,20 288,154 154,288 20,154" fill="#fc0" stroke="black" stroke-width="8"/>',
      label(154, 145, 34, "SLOW", "middle"),
      label(154, 190, 26, "慢行", "middle"),
    ].join(""),
  ),
  form: svg(
    392,
    280,
    [
      '<rect width="392" height="44" fill="#235"/><text x="16" y="30" font-size="18" fill="white" ' + font + ">Sign in</text>",
      ...["E-mail", "Password"].map(
        (name, i) =>
          label(30, 90 + i * 64, 15, name, "start") +
          `<rect x="130" y="${68 + i * 64}" width="230" height="34" fill="none" stroke="#888"/>`,
      ),
      '<rect x="130" y="206" width="110" height="40" rx="8" fill="#283"/>',
      label(185, 232, 16, "Continue", "middle"),
    ].join(""),
  ),
} as const;

export type DrawingName = keyof typeof drawings;

/** A drawing as PNG. Text needs a system font; without one it stays blank, which does not harm calibration. */
export function draw(name: DrawingName): Promise<Buffer> {
  return sharp(Buffer.from(drawings[name])).png().toBuffer();
}

/** Coloured noise as PNG. It gets coarser from left to right so that, like a photo, it has detail of every size. */
export function drawNoise(width: number, height: number): Promise<Buffer> {
  const pixels = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let value = 128;
        for (const cell of [2, 8, 32]) {
          const share = cell === 2 ? 1 - x / width : x / width;
          value += 96 * share * (randomUnit(cell + channel, Math.floor(y / cell) * width + Math.floor(x / cell)) - 0.5);
        }
        pixels[3 * (y * width + x) + channel] = Math.max(0, Math.min(255, value));
      }
    }
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

function svg(width: number, height: number, content: string): string {
  const paper = `<rect width="${width}" height="${height}" fill="white"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${paper}${content}</svg>`;
}

function label(x: number, y: number, size: number, text: string, anchor: "start" | "middle"): string {
  return `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}" ${font}>${text}</text>`;
}

function mono(x: number, y: number, text: string): string {
  return `<text x="${x}" y="${y}" font-size="17" font-family="DejaVu Sans Mono, monospace" xml:space="preserve">${text}</text>`;
}

function box(x: number, y: number, text: string): string {
  return `<rect x="${x}" y="${y}" width="108" height="50" rx="8" fill="#def" stroke="#235"/>${label(x + 54, y + 31, 17, text, "middle")}`;
}
