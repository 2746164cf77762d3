// What a server that is killed leaves in the folder for temporary files.

import { lutimesSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { makeVideoFolder, removeAbandonedVideos, videoPath } from "../../src/vision/video-folder.ts";
import { temporaryFolder } from "../temporary-folder.ts";

afterEach(() => vi.unstubAllEnvs());

test("a start removes what killed servers left, and nothing else", async () => {
  const temporary = temporaryFolder();
  vi.stubEnv("TMPDIR", temporary);
  const anHourAgo = new Date(Date.now() - 3_600_000);
  const make = (name: string, file: string) => {
    mkdirSync(join(temporary, name));
    writeFileSync(join(temporary, name, file), "bytes");
    utimesSync(join(temporary, name), anHourAgo, anHourAgo);
  };
  make("ernie-vl-video-killed", "video");
  make("ernie-vl-video-kept", "something else");
  make("another", "video");
  const link = join(temporary, "ernie-vl-video-link");
  symlinkSync(join(temporary, "another"), link);
  lutimesSync(link, anHourAgo, anHourAgo);
  const inWork = await makeVideoFolder();
  writeFileSync(videoPath(inWork), "bytes");

  await removeAbandonedVideos();

  const left = readdirSync(temporary, { recursive: true }).toSorted();
  expect(left).not.toContain("ernie-vl-video-killed");
  expect(left).toEqual(
    expect.arrayContaining([
      join("another", "video"),
      join("ernie-vl-video-kept", "something else"),
      videoPath(inWork).slice(temporary.length + 1),
    ]),
  );
});
