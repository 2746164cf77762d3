import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import { readPdfTexts, renderPdfPage } from "../../src/vision/pdf-file.ts";
import type { RgbImage } from "../../src/vision/rgb-image.ts";
import { makeFont, makeFontCollection } from "./make-font.ts";
import { makePdf, type NamedFont } from "./make-pdf.ts";

const param = "messages[0].content[0].file.file_data";
const root = mkdtempSync(join(tmpdir(), "ernie-vl-fonts-"));
const folder = join(root, "fonts");

/** Characters of a language, and a part of the square that they fill. */
const simplified = { characters: "们中文", names: { 0x409: "Test SC", 0x804: "测试" } };
const traditional = { characters: "們妳中文", names: { 0x409: "Test TC", 0x404: "測試" } };
const japanese = { characters: "の込日本", names: { 0x409: "Test JP", 0x411: "テスト" } };
const left = [0, 0, 500, 1000] as const;
const right = [500, 0, 1000, 1000] as const;
const lower = [0, 0, 1000, 500] as const;
const upper = [0, 500, 1000, 1000] as const;
const whole = [0, 0, 1000, 1000] as const;

const files: Record<string, Buffer> = {
  "simplified.ttf": makeFont({ ...simplified, box: left }),
  "simplified-bold.ttf": makeFont({ ...simplified, weight: 700, box: whole, padding: 2 ** 24 }),
  "simplified-serif.ttf": makeFont({ ...simplified, hasSerifs: true, box: right }),
  "sub/chinese-and-japanese.ttc": makeFontCollection([
    { ...traditional, box: upper },
    { ...japanese, format: 4, box: lower },
  ]),
  "sub/named.otf": makeFont({ ...simplified, names: { 0x804: "宋体" }, box: upper }),
  "sub/latin.ttf": makeFont({ names: { 0x409: "Arial", 0x804: "Unknown" }, characters: "A们", box: whole, weight: 900 }),
  "sub/damaged.ttf": Buffer.from("not a font"),
};

beforeAll(() => {
  mkdirSync(join(folder, "sub"), { recursive: true });
  restoreFonts();
  vi.stubEnv("XDG_DATA_HOME", root);
  vi.stubEnv("XDG_DATA_DIRS", "/nowhere");
});
afterEach(restoreFonts);
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});

function restoreFonts(): void {
  for (const [name, file] of Object.entries(files)) writeFileSync(join(folder, name), file);
}

/** One character in a square, in hexadecimal. */
function square(code: string, ...namedFonts: NamedFont[]): Buffer {
  return makePdf([{ width: 40, height: 40, content: `BT /N0 40 Tf <${code}> Tj ET`, namedFonts }]);
}

const render = (file: Uint8Array) => renderPdfPage(file, 0, param, (points) => points);

/** Which quarters of a square are black: upper left, upper right, lower left, lower right. */
function quarters({ width, height, rgb }: RgbImage): boolean[] {
  const isBlack = (x: number, y: number) => rgb[3 * (y * width + x)]! < 128;
  const [near, far] = [width / 4, (3 * width) / 4];
  expect([width, height]).toEqual([40, 40]);
  return [isBlack(near, near), isBlack(far, near), isBlack(near, far), isBlack(far, far)];
}

const shape = { left: [true, false, true, false], right: [false, true, false, true], upper: [true, true, false, false] };
const lowerShape = [false, false, true, true];
const nothing = [false, false, false, false];
const all = [true, true, true, true];

const heiti: NamedFont = { name: "SimHei", encoding: "GBK-EUC-H", ordering: "GB1" };

describe("a text whose font is not in the file is drawn with one of the host", () => {
  test.each<[string, NamedFont, string, boolean[]]>([
    ["STHeiti in UniGB-UCS2-H", { name: "STHeiti-Light", encoding: "UniGB-UCS2-H", ordering: "GB1" }, "4e2d", shape.left],
    ["STSong in UniGB-UCS2-H, with serifs", { name: "STSong-Light", encoding: "UniGB-UCS2-H", ordering: "GB1" }, "4e2d", shape.right],
    ["SimHei in GBK-EUC-H", heiti, "d6d0", shape.left],
    ["SimHei in bold", { ...heiti, name: "SimHei,Bold" }, "d6d0", all],
    ["SimSun as TrueType, with serifs", { ...heiti, name: "SimSun", isTrueType: true }, "d6d0", shape.right],
    ["a name in GBK, by that name", { ...heiti, name: "#CB#CE#CC#E5", isTrueType: true }, "d6d0", shape.upper],
    ["numbers of Adobe's characters", { ...heiti, encoding: "Identity-H" }, "11cf", shape.left], // 4559 of Adobe-GB1
    ["MSung in ETen-B5-H", { name: "MSung-Light", encoding: "ETen-B5-H", ordering: "CNS1" }, "a4a4", shape.upper],
    ["MS-Mincho in 90ms-RKSJ-H", { name: "MS-Mincho", encoding: "90ms-RKSJ-H", ordering: "Japan1" }, "93fa", lowerShape],
  ])("%s", async (_, font, code, expected) => {
    expect(quarters(await render(square(code, font)))).toEqual(expected);
  });
});

test("what no font of the host can write stays empty, and its text is read", async () => {
  const korean: NamedFont = { name: "HYSMyeongJo-Medium", encoding: "KSCms-UHC-H", ordering: "Korea1" };

  expect(quarters(await render(square("c7d1", korean)))).toEqual(nothing);
  expect(await readPdfTexts(square("c7d1", korean), 1, param)).toEqual(["한"]);
  expect(quarters(await render(square("d1a7", heiti)))).toEqual(nothing); // 学, which the font lacks
});

test.each(["Arial", "SimSun", "Unknown"])("a Latin text in %s has PDFium's own font, as if the host had none", async (name) => {
  const font = { name, encoding: "WinAnsiEncoding" };
  const image = await render(makePdf([{ width: 40, height: 40, content: "BT /N0 40 Tf (A) Tj ET", namedFonts: [font] }]));
  const helvetica = await render(makePdf([{ width: 40, height: 40, content: "BT /F 40 Tf (A) Tj ET" }]));

  expect(quarters(image)).not.toEqual(all); // the font of that name
  expect(image.rgb.includes(0)).toBe(true);
  expect(image.rgb.length === helvetica.rgb.length && Buffer.from(image.rgb).equals(helvetica.rgb)).toBe(name === "Arial");
});

test("a large font is in PDFium's memory once, however many names a page has for it", async () => {
  const namedFonts = Array.from({ length: 40 }, (_, index): NamedFont => ({ ...heiti, name: `Hei${index},Bold` }));
  const content = namedFonts.map((_, index) => `BT /N${index} 40 Tf <d6d0> Tj ET`).join(" ");

  expect(quarters(await render(makePdf([{ width: 40, height: 40, content, namedFonts }])))).toEqual(all); // 640 MiB else
});

describe("a font that is gone since it was found", () => {
  test.each([
    ["is as good as none", () => rmSync(join(folder, "simplified.ttf"))],
    ["or is shorter now, is too", () => truncateSync(join(folder, "simplified.ttf"), 100)],
  ])("%s", async (_, spoil) => {
    expect(quarters(await render(square("d6d0", heiti)))).toEqual(shape.left);
    spoil();
    expect(quarters(await render(square("d6d0", heiti)))).toEqual(nothing);
    restoreFonts();
    expect(quarters(await render(square("d6d0", heiti)))).toEqual(shape.left);
  });
});

test("a damaged font leads to a picture or a refusal, and the next one is drawn", async () => {
  const path = join(folder, "simplified.ttf");
  const intact = files["simplified.ttf"]!;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(intact.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 }), async (bytes) => {
      const damaged = Buffer.from(intact);
      for (const [place, byte] of bytes) damaged[place] = byte;
      writeFileSync(path, damaged);
      try {
        expect((await render(square("d6d0", heiti))).rgb).toHaveLength(40 * 40 * 3);
      } catch (error) {
        expect(error).toBeInstanceOf(RequestError);
      }
    }),
    { numRuns: 200 },
  );
  restoreFonts();
  expect(quarters(await render(square("d6d0", heiti)))).toEqual(shape.left);
});
