// What a starting server finds for video files.

import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { createVisionLoaders } from "../../src/cli/vision-loaders.ts";
import { createPixelBudget } from "../../src/vision/pixel-budget.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { refusal } from "../vision/load-video.ts";
import { ffmpeg } from "../vision/make-videos.ts";

afterEach(() => vi.unstubAllEnvs());

test.skipIf(!ffmpeg)("video files are refused where no temporary folder can be written to, and the start says so", async () => {
  const missing = join(temporaryFolder(), "missing");
  vi.stubEnv("TMPDIR", missing);
  const said: string[] = [];
  const image = { minPixels: 1, maxPixels: 1, mean: [0, 0, 0], std: [1, 1, 1] } as const;

  const vision = await createVisionLoaders("/no/model", image, (line) => said.push(line));

  expect(said).toEqual([
    `video    lists of frames only (video files need a temporary folder, and ${missing} cannot be written to: no such file or directory; set TMPDIR to another)`,
  ]);
  expect(vision.takesVideoFiles).toBe(false);
  const part = { type: "video", source: { type: "file", bytes: Buffer.from("x"), sampling: {} }, param: "here" } as const;
  const request = { maxTokens: 1, pixelBudget: createPixelBudget(), signal: new AbortController().signal };
  expect(await refusal(vision.loadVideo(part, request))).toMatchObject({
    status: 400,
    message: expect.stringContaining("here: video files need"),
  });
  await vision.close();
});
