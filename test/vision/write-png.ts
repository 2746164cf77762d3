// Writes PNG files byte by byte, so that a test knows every value in them without trusting a library.

import { crc32, deflateSync } from "node:zlib";

export type PngOptions = {
  readonly width: number;
  readonly height: number;
  readonly kind: "grey" | "rgb" | "palette" | "grey+alpha" | "rgba";
  readonly bitDepth?: 8 | 16;
  /** [height, width, channels of the kind], big-endian pairs at 16 bits */
  readonly samples: Uint8Array;
  /** Chunks between header and pixels: PLTE, tRNS, gAMA, iCCP, eXIf … */
  readonly chunks?: readonly (readonly [type: string, data: Uint8Array])[];
};

const colorTypes = { grey: 0, rgb: 2, palette: 3, "grey+alpha": 4, rgba: 6 };

export function writePng({ width, height, kind, bitDepth = 8, samples, chunks = [] }: PngOptions): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bitDepth, colorTypes[kind]], 8);
  const rowBytes = samples.length / height;
  const rows = Array.from({ length: height }, (_, y) => [Buffer.of(0), samples.subarray(y * rowBytes, (y + 1) * rowBytes)]);
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    ...chunks.map(([type, data]) => chunk(type, data)),
    chunk("IDAT", deflateSync(Buffer.concat(rows.flat()))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
