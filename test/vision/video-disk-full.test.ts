// The folder for temporary files may have no room for a video.

import { expect, test, vi } from "vitest";
import { leftovers, loadFile } from "./load-video.ts";

vi.mock("node:fs/promises", async (importOriginal) => {
  const real = await importOriginal<typeof import("node:fs/promises")>();
  const writeFile = async (path: string): Promise<void> => {
    await real.writeFile(path, "the first bytes");
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  };
  return { ...real, writeFile };
});

test("a disk that is full is a failure of ours, not of the client, and what was written is removed", async () => {
  const ffmpeg = { ffmpegPath: "/no/ffmpeg", ffprobePath: "/no/ffprobe", version: "7.1" };

  await expect(loadFile(Buffer.from("x"), {}, { ffmpeg })).rejects.toMatchObject({ name: "Error", code: "ENOSPC" });

  expect(await leftovers()).toEqual([]);
});
