// What a starting server finds for video files.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createVisionLoaders, readVideoConfig } from "../../src/cli/vision-loaders.ts";
import { createPixelBudget } from "../../src/vision/pixel-budget.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { refusal } from "../vision/load-video.ts";
import { ffmpeg } from "../vision/make-videos.ts";

afterEach(() => vi.unstubAllEnvs());

describe("video settings", () => {
  const settings = (maxFrames: number) => ({ max_frames: maxFrames, draw_on_frames: false });
  const write = (folder: string, name: string, content: object) => writeFileSync(join(folder, name), JSON.stringify(content));

  test("come from a file of their own, or from processor_config.json, where transformers 5 saves them", () => {
    const folder = temporaryFolder();

    expect(readVideoConfig(folder)).toMatchObject({ maxFrames: 180, drawsTimestamps: true });
    write(folder, "video_preprocessor_config.json", settings(20));
    expect(readVideoConfig(folder)).toMatchObject({ maxFrames: 20, drawsTimestamps: false });
    write(folder, "processor_config.json", { processor_class: "Ernie4_5_VLMoeProcessor" });
    expect(readVideoConfig(folder).maxFrames).toBe(20);
    write(folder, "processor_config.json", { video_processor: settings(30) });
    expect(readVideoConfig(folder)).toMatchObject({ maxFrames: 30, drawsTimestamps: false });
  });

  test("that are wrong are refused with their file", () => {
    const folder = temporaryFolder();
    write(folder, "processor_config.json", { video_processor: { fps: -1 } });

    expect(() => readVideoConfig(folder)).toThrow("processor_config.json: video_processor.fps: expected a positive number, got -1");
  });
});

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
