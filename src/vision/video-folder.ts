// The folder that a video's file lies in while it is decoded.

import { lstat, mkdtemp, readdir, rmdir, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const prefix = "ernie-vl-video-";
/** Several times as long as a video is in work. */
const abandonedMs = 900_000;

/** A new folder that only this user can read. */
export function makeVideoFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), prefix));
}

/** The path of the file in it. */
export function videoPath(folder: string): string {
  return join(folder, "video");
}

/**
 * Removes what servers left that were killed while they decoded a video, so that the disk does not fill up. Only this user's folders, and only
 * what a server puts there: others can make folders of this name, and links in them.
 */
export async function removeAbandonedVideos(): Promise<void> {
  const names = await readdir(tmpdir()).catch(() => []);
  for (const name of names.filter((name) => name.startsWith(prefix))) {
    const folder = join(tmpdir(), name);
    try {
      const found = await lstat(folder);
      const isOurs = found.isDirectory() && found.uid === process.getuid?.();
      if (!isOurs || Date.now() - found.mtimeMs < abandonedMs) continue;
      await unlink(videoPath(folder)).catch(() => {});
      await rmdir(folder);
    } catch {
      // Another server may be removing it, or it holds something else.
    }
  }
}
