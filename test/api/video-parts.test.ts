import { describe, expect, test } from "vitest";
import { MediaParts } from "../../src/api/media-parts.ts";
import { defaultLimits, type RequestLimits } from "../../src/api/app-options.ts";
import { chatPath, type Envelope, makeApp, pngBase64, post, staying, userSays } from "./make-app.ts";

const png = `data:image/png;base64,${pngBase64}`;
const pngBytes = Buffer.from(pngBase64, "base64");

/** The part that the service gets for a part of a request, or the error. */
async function send(part: object, limits: Partial<RequestLimits> = {}) {
  const { app, calls } = makeApp(undefined, { limits, media: { read: async (url) => Buffer.from(url) } });
  const response = await app.request(chatPath, post(userSays([part])));
  if (response.status === 200) return { part: calls[0]!.chat.messages[0]!.content[0] };
  return { status: response.status, error: ((await response.json()) as Envelope).error };
}

describe("a video in a message", () => {
  const param = "messages[0].content[0]";
  test.each([
    {
      what: "a data URI",
      sent: { type: "video_url", video_url: { url: "data:video/mp4;base64,AAEC" } },
      got: { source: { type: "file", bytes: Buffer.from([0, 1, 2]), sampling: {} }, param: `${param}.video_url.url` },
    },
    {
      what: "a URL as a string",
      sent: { type: "video_url", video_url: "https://host.test/a.mp4" },
      got: { source: { type: "file", bytes: Buffer.from("https://host.test/a.mp4"), sampling: {} }, param: `${param}.video_url` },
    },
    {
      what: "all wishes",
      sent: {
        type: "video_url",
        video_url: {
          url: "data:,x",
          fps: 1,
          min_frames: 2,
          max_frames: 8,
          target_frames: 4,
          frames_sample: "middle",
          draw_on_frames: true,
        },
      },
      got: {
        source: {
          type: "file",
          bytes: Uint8Array.of(120),
          sampling: { fps: 1, minFrames: 2, maxFrames: 8, targetFrames: 4, choice: "middle" },
        },
        drawsTimestamps: true,
        param: `${param}.video_url.url`,
      },
    },
    {
      what: "FastDeploy's −1 for no wish",
      sent: { type: "video_url", video_url: { url: "data:,x", fps: -1, min_frames: -1, max_frames: null, target_frames: 6 } },
      got: { source: { type: "file", bytes: Uint8Array.of(120), sampling: { targetFrames: 6 } }, param: `${param}.video_url.url` },
    },
    {
      what: "frames with commas between, as vLLM has them",
      sent: { type: "video_url", video_url: { url: `data:video/jpeg;base64,${pngBase64},${pngBase64}`, fps: 2 } },
      got: { source: { type: "frames", files: [pngBytes, pngBytes], fps: 2 }, param: `${param}.video_url.url` },
    },
    {
      what: "a list of frames",
      sent: { type: "video", video: [png, "file:///b.png"] },
      got: { source: { type: "frames", files: [pngBytes, Buffer.from("file:///b.png")] }, param: `${param}.video` },
    },
    {
      what: "a file by Hugging Face's name, with its wishes beside it",
      sent: { type: "video", video: "data:,x", max_frames: 8 },
      got: { source: { type: "file", bytes: Uint8Array.of(120), sampling: { maxFrames: 8 } }, param: `${param}.video` },
    },
  ])("may be $what", async ({ sent, got }) => {
    expect(await send(sent)).toEqual({ part: { type: "video", ...got } });
  });

  test.each([
    [{ type: "video_url" }, `${param}.video_url`, "a string or an object with a url"],
    [{ type: "video_url", video_url: {} }, `${param}.video_url.url`, "a string"],
    [{ type: "video", video: [] }, `${param}.video`, "an array of 1 to 512 URLs"],
    [{ type: "video", video: ["data:,x", 1] }, `${param}.video[1]`, "a string"],
    [{ type: "video", video: Array(513).fill("data:,x") }, `${param}.video`, "an array of 1 to 512 URLs"],
    [{ type: "video_url", video_url: { url: "data:,x", fps: 0 } }, `${param}.video_url.fps`, "a number from 0.01 to 120"],
    [{ type: "video_url", video_url: { url: "data:,x", max_frames: 1e6 } }, `${param}.video_url.max_frames`, "an integer from 1 to 512"],
    [{ type: "video_url", video_url: { url: "data:,x", frames_sample: "all" } }, `${param}.video_url.frames_sample`, '"leading"'],
    [
      { type: "video_url", video_url: { url: "data:,x", min_frames: 9, max_frames: 8 } },
      `${param}.video_url.min_frames`,
      "at most max_frames, got 9",
    ],
  ])("is checked, case %#", async (sent, at, message) => {
    const { status, error } = await send(sent);

    expect([status, error?.param]).toEqual([400, at]);
    expect(error?.message).toContain(message);
  });

  const frames = (count: number) => `data:video/jpeg;base64,${Array(count).fill("AAAA").join(",")}`;
  test.each<{ what: string; sent: object; limits: Partial<RequestLimits>; code: string }>([
    { what: "bytes", sent: { url: "data:,xx" }, limits: { videoBytes: 1 }, code: "image_file_too_large" },
    { what: "bytes of a frame", sent: { url: frames(2) }, limits: { imageBytes: 2 }, code: "image_file_too_large" },
    { what: "bytes of all frames", sent: { url: frames(4) }, limits: { mediaBytes: 11 }, code: "image_file_too_large" },
    { what: "frames", sent: { url: frames(4) }, limits: { frameCount: 3 }, code: "too_many_images" },
    { what: "a hundred thousand frames", sent: { url: frames(100_000) }, limits: {}, code: "too_many_images" },
  ])("is bounded before anything is decoded: $what", async ({ sent, limits, code }) => {
    expect(await send({ type: "video_url", video_url: sent }, limits)).toMatchObject({ status: 400, error: { code } });
  });

  test("is one of few, whose frames count together", async () => {
    const partsOf = (limits: Partial<RequestLimits>) =>
      new MediaParts({ ...defaultLimits, ...limits }, { read: async () => Buffer.from("x") }, staying);
    const video = { url: ["data:,x", "data:,x"], sampling: {}, param: "video" };
    const [few, short] = [partsOf({ videoCount: 1 }), partsOf({ frameCount: 3 })];

    const outcomes = await Promise.allSettled([few.video(video), few.video(video), short.video(video), short.video(video)]);

    expect(outcomes).toMatchObject([
      { status: "fulfilled" },
      { status: "rejected", reason: { code: "too_many_videos" } },
      { status: "fulfilled" },
      { status: "rejected", reason: { code: "too_many_images" } },
    ]);
  });
});
