// Random pictures from a seed, with edges and smooth areas. As PNG they are about as large as photos.

import sharp from "sharp";
import { SeededRandom } from "./seeded-random.ts";

/** Side of a square of one random colour, which is blended into its neighbours. */
const cellPixels = 8;

/** `data:image/png;base64,…` */
export async function syntheticImage(random: SeededRandom, width: number, height: number): Promise<string> {
  const [columns, rows] = [Math.ceil(width / cellPixels), Math.ceil(height / cellPixels)];
  const colours = Uint8Array.from({ length: columns * rows * 3 }, () => random.below(256));
  const png = await sharp(colours, { raw: { width: columns, height: rows, channels: 3 } })
    .resize(width, height, { kernel: "cubic", fit: "fill" })
    .png({ compressionLevel: 3 })
    .toBuffer();
  return `data:image/png;base64,${png.toString("base64")}`;
}
