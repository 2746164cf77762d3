// A server with many connections may have no file descriptor left for a video.

import { ChildProcess } from "node:child_process";
import { expect, test, vi } from "vitest";
import { leftovers, loadFile } from "./load-video.ts";

vi.mock("node:child_process", async (importOriginal) => {
  const real = await importOriginal<typeof import("node:child_process")>();
  /** As Node does it: the child has no streams, and the error comes as an event. */
  const spawn = (): ChildProcess => {
    const child = new real.ChildProcess();
    process.nextTick(() => child.emit("error", Object.assign(new Error("spawn EMFILE"), { code: "EMFILE" })));
    return child;
  };
  return { ...real, spawn };
});

test("is a failure of one request, and does not end the process", async () => {
  const ffmpeg = { ffmpegPath: "/no/ffmpeg", ffprobePath: "/no/ffprobe", version: "7.1" };

  await expect(loadFile(Buffer.from("x"), {}, { ffmpeg })).rejects.toMatchObject({ name: "Error", code: "EMFILE" });

  expect(await leftovers()).toEqual([]);
});
