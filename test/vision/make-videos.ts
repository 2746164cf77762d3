// Small videos for tests, made by the ffmpeg of the machine.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Ffmpeg, findFfmpeg } from "../../src/vision/ffmpeg.ts";

export const ffmpeg: Ffmpeg | undefined = await findFfmpeg();
// oxlint-disable-next-line no-console -- skipping is to be seen
if (!ffmpeg) console.error("no ffmpeg on this machine: TESTS OF VIDEO FILES ARE SKIPPED (Debian: apt install ffmpeg)");

/** A file that ffmpeg writes for these arguments. Several outputs of one test are made one after the other. */
export async function makeVideo(extension: string, args: readonly string[]): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "make-video-"));
  try {
    const path = join(folder, `video.${extension}`);
    await promisify(execFile)(ffmpeg!.ffmpegPath, ["-v", "error", "-y", ...args, path]);
    return await readFile(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Frame n is grey of level 16 + 2n: what decodes to it tells which frame it is. */
export function greyFrames(frameCount: number, fps: number, size = "64x48"): string[] {
  const levels = `geq=lum='16+2*N':cb=128:cr=128`;
  return ["-f", "lavfi", "-i", `color=size=${size}:rate=${fps},format=yuv420p,${levels}`, "-frames:v", String(frameCount)];
}

/** A program that stands in for one of ffmpeg's. */
export async function writeProgram(folder: string, name: string, script: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!${process.execPath}\n${script}\n`, { mode: 0o755 });
  return path;
}
