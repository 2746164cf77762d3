import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import { runPdfTask } from "../../src/vision/image-task.ts";
import { loadImage } from "../../src/vision/load-image.ts";
import { createPixelBudget } from "../../src/vision/pixel-budget.ts";
import { readPdfTexts, renderPdfPage } from "../../src/vision/pdf-file.ts";
import type { RgbImage } from "../../src/vision/rgb-image.ts";
import { fillPage, joinObjects, makePdf, type PdfPage, showText, stream } from "./make-pdf.ts";

const param = "messages[0].content[0].file.file_data";
const read = (file: Uint8Array, maxPages = 10) => readPdfTexts(file, maxPages, param);
const model = { minPixels: 28 * 28, maxPixels: 1_000_000 };

/** One pixel for each point. */
const render = (file: Uint8Array, page = 0) => renderPdfPage(file, page, param, (points) => points);
const square = (content: string): PdfPage => ({ width: 56, height: 56, content });

function pixel({ width, rgb }: RgbImage, x: number, y: number): number[] {
  return [...rgb.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)];
}

const refusal = (code: string, message: RegExp) =>
  expect.objectContaining({ status: 400, code, param, message: expect.stringMatching(message) });

describe("texts", () => {
  test("are those of each page, and none where there is none", async () => {
    const file = makePdf([
      { content: `${showText("First line", 700)} ${showText("second \\(2\\)", 660)}` },
      {},
      { content: showText("Third") },
    ]);

    expect(await read(file)).toEqual(["First line\nsecond (2)", "", "Third"]);
  });

  test("join a word that is broken at the end of a line", async () => {
    const file = makePdf([{ content: `${showText("a broken docu-", 700)} ${showText("ment of two lines", 670)}` }]);

    expect(await read(file)).toEqual(["a broken document of two lines"]);
  });

  test("are found where something stands before the file, and where its table of objects is wrong", async () => {
    const file = makePdf([{ content: showText("Here") }]);

    expect(await read(Buffer.concat([Buffer.from("MIME: application/pdf\r\n\r\n"), file]))).toEqual(["Here"]);
    expect(await read(Buffer.from(file.toString("latin1").replace(/startxref\n\d+/, "startxref\n77"), "latin1"))).toEqual(["Here"]);
  });
});

describe("a page", () => {
  test("is drawn on white, upright, in its own colours", async () => {
    const image = await render(makePdf([square("1 0 0 rg 0 0 28 28 re f 0 0 1 rg 28 28 28 28 re f")]));

    expect(image).toMatchObject({ width: 56, height: 56 });
    expect(pixel(image, 10, 50)).toEqual([255, 0, 0]);
    expect(pixel(image, 50, 10)).toEqual([0, 0, 255]);
    expect(pixel(image, 10, 10)).toEqual([255, 255, 255]);
  });

  test("shows its pictures level by level", async () => {
    const picture = { width: 56, height: 56, rgb: Uint8Array.from({ length: 56 * 56 * 3 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24) };

    const image = await render(makePdf([{ ...square(fillPage({ width: 56, height: 56 })), picture }]));

    expect(Buffer.from(image.rgb).equals(Buffer.from(picture.rgb))).toBe(true);
  });

  test("shows what was filled into a form", async () => {
    const image = await render(makePdf([{ width: 112, height: 56, field: "Meyer" }]));

    expect(pixel(image, 50, 46)).toEqual([0, 0, 255]);
    expect(pixel(image, 50, 20)).toEqual([255, 255, 255]);
  });

  test("looks the same whatever was drawn before", async () => {
    const pageIn = (name: string) => ({ ...square("BT /N0 40 Tf (S) Tj ET"), namedFonts: [{ name, encoding: "WinAnsiEncoding" }] });
    const file = makePdf([pageIn("Unknown")]);

    const first = await render(file);
    await render(makePdf([pageIn("Other,Bold")]));

    expect(Buffer.from((await render(file)).rgb).equals(first.rgb)).toBe(true);
  });

  test("is the one that was asked for", async () => {
    const file = makePdf([square(""), square("0 1 0 rg 0 0 56 56 re f")]);

    expect(pixel(await render(file, 0), 20, 20)).toEqual([255, 255, 255]);
    expect(pixel(await render(file, 1), 20, 20)).toEqual([0, 255, 0]);
    await expect(render(file, 2)).rejects.toThrow(refusal("invalid_file", /a page 3 that cannot be read/));
  });

  test.each([
    { page: { width: 595, height: 842 }, maxPixels: undefined, grid: [60, 84] }, // 150 pixels an inch are too many for the model
    { page: { width: 595, height: 842 }, maxPixels: 200_704, grid: [26, 38] },
    { page: { width: 134.4, height: 67.2 }, maxPixels: undefined, grid: [20, 10] },
    { page: { width: 1, height: 1 }, maxPixels: undefined, grid: [2, 2] },
  ])(
    "of $page.width × $page.height points has as many pixels as 150 an inch, or as it may have ($maxPixels)",
    async ({ page, maxPixels, grid }) => {
      const file = makePdf([page]);

      const { patchColumns, patchRows } = await loadImage(file, model, { page: 0, maxPixels, param });

      expect([patchColumns, patchRows]).toEqual(grid);
    },
  );

  test("takes its pixels from those that the request has left", async () => {
    const pixelBudget = createPixelBudget(100_000);

    await expect(loadImage(makePdf([{}]), model, { page: 0, pixelBudget, param })).rejects.toThrow(
      refusal("image_too_large", /too many pixels/),
    );
  });
});

test("a file that took much memory leaves none behind", async () => {
  const source = makePdf([{ content: "q ".repeat(5_000_000) }]);
  await runPdfTask({ source: makePdf([{}]), texts: { maxPages: 1, param } });
  const before = process.memoryUsage.rss();

  expect(await runPdfTask({ source, texts: { maxPages: 1, param } })).toMatchObject({ type: "refused" });

  // Of some 400 MiB. V8 gives back what it has collected in a thread of its own.
  await expect.poll(() => process.memoryUsage.rss() - before).toBeLessThan(150 * 2 ** 20);
});

test("the global scope is as it was before the first file", () => {
  expect(Object.getOwnPropertyNames(globalThis)).not.toContain("writeI53ToI64"); // one of Emscripten's warnings
});

describe("a file is refused", () => {
  const locked = `/Encrypt<</Filter/Standard/V 1/R 2/O(${"a".repeat(32)})/U(${"b".repeat(32)})/P -4>>/ID[(a)(a)]`;

  test.each([
    ["that is none", Buffer.from("%PDF-1.7 and then nothing"), "invalid_file", /got one that cannot be opened; save it again/],
    ["that asks for a password", makePdf([{}], locked), "invalid_file", /opens without a password/],
    ["without pages", makePdf([]), "invalid_file", /at least one page/],
    [
      "with more pages than may be",
      makePdf(Array.from({ length: 11 }, () => ({}))),
      "too_many_pages",
      /at most 100 pages in all PDFs of a request, and 10 left for this one, got 11;/,
    ],
  ] as const)("%s", async (_, file, code, message) => {
    await expect(read(file)).rejects.toThrow(refusal(code, message));
  });

  test("whose page has no end of a size", async () => {
    await expect(render(makePdf([{ width: 1e9, height: 10 }]))).rejects.toThrow(
      refusal("invalid_file", /a page 1 of 1000000000x10 points/),
    );
  });

  test("that unpacks to more than PDFium may hold, and the next one is read", async () => {
    const file = makePdf([{ width: 56, height: 56, content: Buffer.alloc(320 * 2 ** 20, " ") }]);

    expect(file.length).toBeLessThan(2 ** 20);
    await expect(render(file)).rejects.toThrow(refusal("file_too_large", /512 MiB/));
    expect(await read(makePdf([{ content: showText("Fine") }]))).toEqual(["Fine"]);
  });
});

describe("a file that leads astray", () => {
  const form = (next: number, uses: number) =>
    stream(`/Type/XObject/Subtype/Form/BBox[0 0 56 56]/Resources<</XObject<</X ${next} 0 R>>>>`, Buffer.from("/X Do ".repeat(uses)));
  const catalog = "<</Type/Catalog/Pages 2 0 R>>";
  const leaf = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 56 56]>>";
  const pages = (fields: string) => `<</Type/Pages${fields}>>`;
  const shown = (content: string | Buffer, resources: string, ...more: (string | Buffer)[]) =>
    joinObjects([
      catalog,
      pages("/Kids[3 0 R]/Count 1"),
      `<</Type/Page/Parent 2 0 R/MediaBox[0 0 56 56]/Contents 4 0 R/Resources<<${resources}>>>>`,
      stream("", Buffer.from(content as string)),
      ...more,
    ]);
  const chain = Array.from({ length: 20_000 }, (_, i) => pages(`/Kids[${i + 3} 0 R]/Count 1`));

  test.each<[string, () => Buffer, number | RegExp]>([
    ["a tree of pages that holds itself", () => joinObjects([catalog, pages("/Kids[2 0 R]/Count 3")]), /cannot be read/],
    ["a tree of pages that is 20,000 deep", () => joinObjects([catalog, ...chain, leaf]), /cannot be read/],
    ["a count of pages that is far too high", () => joinObjects([catalog, pages("/Kids[3 0 R]/Count 1000000000"), leaf]), 1],
    ["a negative count", () => joinObjects([catalog, pages("/Kids[3 0 R]/Count -5"), leaf]), 1],
    [
      "a page listed 10,000 times",
      () => joinObjects([catalog, pages(`/Kids[${"3 0 R ".repeat(10_000)}]/Count 10000`), leaf]),
      /10 left for this one/,
    ],
    ["arrays in arrays, 100,000 deep", () => shown(`${"[".repeat(100_000)}${"]".repeat(100_000)} TJ`, ""), 1],
    ["no end of saved states", () => shown("q ".repeat(5_000_000), ""), /512 MiB/],
    [
      "a form that draws another, 2,000 times over",
      () => shown("/X Do", "/XObject<</X 5 0 R>>", ...Array.from({ length: 2000 }, (_, i) => form(i + 6, 1))),
      1,
    ],
    ["a form that draws itself", () => shown("/X Do", "/XObject<</X 5 0 R>>", form(5, 1)), 1],
    ["a colour space made of itself", () => shown("/I cs 0 scn 0 0 9 9 re f", "/ColorSpace<</I 5 0 R>>", "[/Indexed 5 0 R 255 (abc)]"), 1],
    [
      "a box that refers to itself",
      () => joinObjects([catalog, pages("/Kids[3 0 R]/Count 1"), "<</Type/Page/Parent 2 0 R/MediaBox 4 0 R>>", "4 0 R"]),
      1,
    ],
  ])("by %s is read or refused", async (_, make, expected) => {
    const file = make();

    if (typeof expected === "number") {
      expect(await read(file)).toHaveLength(expected);
      expect((await loadPixels(file, 0)).rgb).toHaveLength(56 * 56 * 3);
    } else {
      await expect(read(file)).rejects.toThrow(expect.objectContaining({ status: 400, param, message: expect.stringMatching(expected) }));
    }
  });

  test("by scripts and actions has none of them run", async () => {
    const script = "/S/JavaScript/JS(while\\(true\\);)";
    const file = joinObjects([
      `<</Type/Catalog/Pages 2 0 R/OpenAction<<${script}>>/Names<</JavaScript<</Names[(a)<<${script}>>]>>>>>>`,
      pages("/Kids[3 0 R]/Count 1"),
      `<</Type/Page/Parent 2 0 R/MediaBox[0 0 56 56]/AA<</O<<${script}>>/C<</S/Launch/F(/bin/sh)>>>>>>`,
    ]);

    expect(await read(file)).toEqual([""]);
    expect((await loadPixels(file, 0)).rgb.every((level) => level === 255)).toBe(true);
  });
});

test("a damaged file is drawn as far as it can be, or refused, and never fails in another way", async () => {
  const intact = makePdf([{ ...square(showText("A", 20)), field: "x" }, square("1 0 0 rg 0 0 9 9 re f")]);
  const damage = fc.array(fc.tuple(fc.nat(intact.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(damage, fc.nat(intact.length), async (bytes, cut) => {
      const file = Buffer.from(intact);
      for (const [place, byte] of bytes) file[place] = byte;
      const either = cut % 2 === 0 ? file : file.subarray(0, cut);
      try {
        const { length } = await read(either);
        for (let page = 0; page < length; page++) {
          const { rgb, width, height } = await loadPixels(either, page);
          expect(rgb).toHaveLength(3 * width * height);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(RequestError);
      }
    }),
    { numRuns: 300 },
  );
  expect(await read(intact)).toEqual(["A", ""]);
});

function loadPixels(file: Uint8Array, page: number): Promise<RgbImage> {
  return renderPdfPage(file, page, param, () => ({ width: 56, height: 56 }));
}
