// Finds the system's ffmpeg.

import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

export type Ffmpeg = { readonly ffmpegPath: string; readonly ffprobePath: string; readonly version: string };

const versionTimeoutMs = 10_000;

/** Both programs from `searchPath` (default: the environment's), or undefined where one is missing or does not run. */
export async function findFfmpeg(searchPath = process.env.PATH ?? ""): Promise<Ffmpeg | undefined> {
  const [ffmpegPath, ffprobePath] = await Promise.all([findProgram("ffmpeg", searchPath), findProgram("ffprobe", searchPath)]);
  if (ffmpegPath === undefined || ffprobePath === undefined) return undefined;
  try {
    const { stdout } = await promisify(execFile)(ffmpegPath, ["-version"], { env: {}, timeout: versionTimeoutMs });
    const version = /^ffmpeg version (\S+)/.exec(stdout)?.[1];
    return version === undefined ? undefined : { ffmpegPath, ffprobePath, version };
  } catch {
    return undefined;
  }
}

async function findProgram(name: string, searchPath: string): Promise<string | undefined> {
  for (const folder of searchPath.split(delimiter)) {
    if (folder === "") continue; // would mean the working folder
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}
