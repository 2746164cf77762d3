import { describe, expect, test } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import { runImageTask, unwrapResult } from "../../src/vision/image-task.ts";
import { loadImage } from "../../src/vision/load-image.ts";
import { writePng } from "./write-png.ts";

const model = { minPixels: 3136, maxPixels: 50_176 };
const param = "messages[2].content[0]";

function makePicture(width: number, height: number, level = 100): Buffer {
  return writePng({ width, height, kind: "grey", samples: new Uint8Array(width * height).fill(level) });
}

describe("loadImage", () => {
  test.each([
    { budget: undefined, rows: 14, columns: 16 },
    { budget: 1_000_000, rows: 14, columns: 16 },
    { budget: 20_000, rows: 8, columns: 10 },
    { budget: 1, rows: 2, columns: 4 },
  ])("scales to $rows x $columns patches with a budget of $budget pixels", async ({ budget, rows, columns }) => {
    const image = await loadImage(makePicture(300, 260), model, { maxPixels: budget, param });

    expect([image.frameCount, image.patchRows, image.patchColumns]).toEqual([1, rows, columns]);
    expect(image.patches.length).toBe(rows * columns * 588);
    expect(new Set(image.patches)).toEqual(new Set([100]));
  });

  test("takes a picture of a single pixel", async () => {
    const image = await loadImage(makePicture(1, 1), model, { param });

    expect([image.patchRows, image.patchColumns]).toEqual([4, 4]);
  });
});

describe("an image task", () => {
  const run = (bytes: Uint8Array) => runImageTask({ source: bytes, request: { param }, model });

  test("gives the picture that loadImage gives", async () => {
    const file = makePicture(56, 56);

    const image = unwrapResult(structuredClone(await run(file)));

    expect(image).toEqual(await loadImage(file, model, { param }));
  });

  test("carries a refusal between threads without losing class, status, code and field", async () => {
    const result = structuredClone(await run(Buffer.from("not a picture")));

    expect(() => unwrapResult(result)).toThrow(RequestError);
    expect(() => unwrapResult(result)).toThrow(expect.objectContaining({ status: 400, code: "invalid_image_format", param }));
  });
});
