import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { smartResize } from "../../src/vision/smart-resize.ts";

const model = { minPixels: 3136, maxPixels: 4_842_768 };
const table = JSON.parse(readFileSync(new URL("../fixtures/vision/smart-resize.json", import.meta.url), "utf8")) as {
  rows: [number, number, number, number, number, number][];
};

describe("smartResize", () => {
  test.each([
    { height: 224, width: 224, to: [224, 224], tokens: 64 },
    { height: 480, width: 640, to: [476, 644], tokens: 391 },
    { height: 1080, width: 1920, to: [1092, 1932], tokens: 2691 },
    { height: 70, width: 98, to: [56, 112], tokens: 8 },
    { height: 42, width: 350, to: [56, 336], tokens: 24 },
    { height: 20, width: 20, to: [56, 56], tokens: 4 },
    { height: 4000, width: 3000, to: [2520, 1904], tokens: 6120 },
    { height: 1, width: 5000, to: [28, 5600], tokens: 200 },
    { height: 5000, width: 1, to: [5600, 28], tokens: 200 },
    { height: 14, width: 2800, to: [28, 2800], tokens: 100 }, // the largest ratio that is kept
  ])("scales $height x $width to $to", ({ height, width, to, tokens }) => {
    const size = smartResize({ width, height }, model);

    expect([size.height, size.width]).toEqual(to);
    expect((size.height / 28) * (size.width / 28)).toBe(tokens);
  });

  test("obeys the limits of video frames and of the Thinking model", () => {
    const video = { minPixels: 234_416, maxPixels: 937_664 };
    const thinking = { minPixels: 3136, maxPixels: 12_845_056 };

    expect(smartResize({ width: 1280, height: 720 }, video)).toEqual({ width: 1288, height: 728 });
    expect(smartResize({ width: 640, height: 360 }, video)).toEqual({ width: 644, height: 364 });
    expect(smartResize({ width: 3000, height: 4000 }, thinking)).toEqual({ width: 2996, height: 4004 });
  });

  test("agrees with transformers on a table of sizes", () => {
    expect(table.rows.length).toBeGreaterThan(300);

    const ours = table.rows.map(([width, height, minPixels, maxPixels]) => smartResize({ width, height }, { minPixels, maxPixels }));

    expect(ours).toEqual(table.rows.map(([, , , , width, height]) => ({ width, height })));
  });

  test("always gives whole windows within the limits of the model", () => {
    const side = fc.integer({ min: 1, max: 20_000 });
    fc.assert(
      fc.property(side, side, (width, height) => {
        const size = smartResize({ width, height }, model);

        expect([size.width % 28, size.height % 28]).toEqual([0, 0]);
        expect(Math.min(size.width, size.height)).toBeGreaterThanOrEqual(28);
        expect(size.width * size.height).toBeGreaterThanOrEqual(model.minPixels);
        expect(size.width * size.height).toBeLessThanOrEqual(model.maxPixels);
      }),
    );
  });
});
