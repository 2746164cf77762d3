import { deflateSync } from "node:zlib";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decodeImage } from "../../src/vision/decode-image.ts";
import { withoutPngTexts } from "../../src/vision/png-texts.ts";
import { writePng } from "./write-png.ts";

const samples = Uint8Array.from({ length: 12 }, (_, i) => 20 * i);
const png = (...chunks: (readonly [string, Uint8Array])[]) => writePng({ width: 2, height: 2, kind: "rgb", samples, chunks });

const unpacked = deflateSync(Buffer.alloc(1e6));
const compressed = ["zTXt", Buffer.concat([Buffer.from("a\0\0"), unpacked])] as const;
const international = ["iTXt", Buffer.concat([Buffer.from("a\0\x01\0\0\0"), unpacked])] as const;
const plain = ["tEXt", Buffer.from("a\0b")] as const;

test("compressed texts are removed, and nothing else", () => {
  expect(withoutPngTexts(png(compressed, plain, international, compressed))).toEqual(png(plain));
  expect(withoutPngTexts(png(plain, international))).toEqual(png(plain));
});

test("a file without them is not copied", () => {
  const file = png(plain);

  expect(withoutPngTexts(file)).toBe(file);
});

test("a picture whose texts would unpack to 15 GB, which takes minutes, is decoded", async () => {
  const long = ["zTXt", Buffer.concat([Buffer.from("a\0\0"), deflateSync(Buffer.alloc(5e7))])] as const;
  const file = png(...Array.from({ length: 300 }, () => long));

  expect((await decodeImage(file, "picture")).rgb).toEqual(Buffer.from(samples));
});

test("any bytes are cut without an error, however wrong their lengths", () => {
  const chunk = fc.tuple(fc.nat(40), fc.constantFrom("zTXt", "iTXt", "tEXt", "IDAT"), fc.uint8Array({ maxLength: 30 }));
  fc.assert(
    fc.property(fc.array(chunk), (chunks) => {
      const file = Buffer.concat([
        Buffer.alloc(8),
        ...chunks.flatMap(([length, type, data]) => [Buffer.from([0, 0, 0, length]), Buffer.from(type), data]),
      ]);

      expect(withoutPngTexts(file).length).toBeLessThanOrEqual(file.length);
    }),
  );
});
