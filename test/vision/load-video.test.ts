import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import type { ImagePatches } from "../../src/core/prompt.ts";
import { findFfmpeg } from "../../src/vision/ffmpeg.ts";
import { loadImage } from "../../src/vision/load-image.ts";
import { config, leftovers, load, loadFile, param, refusal } from "./load-video.ts";
import { ffmpeg, greyFrames, makeVideo } from "./make-videos.ts";

/** The number of the frame that each frame of a video of `greyFrames` is. */
function frameNumbers({ patches, frameCount }: ImagePatches): number[] {
  const frameBytes = patches.length / frameCount;
  const level = (i: number) => patches[i * frameBytes]!;
  const luma = (grey: number) => 16 + (grey * 219) / 255;
  return Array.from({ length: frameCount }, (_, i) => Math.round((luma(level(i)) - 16) / 2));
}

const makePicture = (level: number, width = 64, height = 48) =>
  sharp({ create: { width, height, channels: 3, background: { r: level, g: level, b: level } } })
    .png()
    .toBuffer();

describe("a list of pictures becomes a video", () => {
  test("whose frames lie one after the other, all in the size that suits the first", async () => {
    const files = await Promise.all([makePicture(10), makePicture(90, 300, 20), makePicture(170), makePicture(250)]);

    const { video } = await load({ type: "frames", files }, { ffmpeg: undefined });

    const [first, ...others] = await Promise.all(
      files.map((file) => loadImage(file, config.pixels, { param, size: { width: 56, height: 56 } })),
    );
    expect([video.frameCount, video.patchRows, video.patchColumns]).toEqual([4, first!.patchRows, first!.patchColumns]);
    expect([...video.patches]).toEqual([first!, ...others].flatMap(({ patches }) => [...patches]));
    expect(video.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([
    { count: 1, frameCount: 2 },
    { count: 3, frameCount: 4 },
    { count: 7, frameCount: 8 },
  ])("of an even number of frames: $count of them", async ({ count, frameCount }) => {
    const files = await Promise.all(Array.from({ length: count }, (_, i) => makePicture(10 * i)));

    const { video } = await load({ type: "frames", files });

    expect(video.frameCount).toBe(frameCount);
    const frameBytes = video.patches.length / frameCount;
    expect(Array.from({ length: frameCount }, (_, i) => video.patches[i * frameBytes])).toEqual(
      Array.from({ length: frameCount }, (_, i) => 10 * Math.min(i, count - 1)),
    );
  });

  test("with one size, that of the first frame", async () => {
    const files = [await makePicture(0, 56, 84), await makePicture(255, 200, 50)];

    const { video } = await load({ type: "frames", files });

    expect([video.patchRows, video.patchColumns]).toEqual([6, 4]);
  });

  test("with another hash when frames, order or number differ", async () => {
    const [a, b] = [await makePicture(1), await makePicture(2)];
    const hashes = await Promise.all(
      [[a], [a, a, a], [a, b], [b, a]].map(async (files) => (await load({ type: "frames", files })).video.hash),
    );

    expect(new Set(hashes).size).toBe(4);
  });

  test.each([
    { what: "times from a rate", fps: 4, draws: true, expected: ["time: 00:00:00.00", "time: 00:00:00.25"] },
    { what: "no times without a rate", fps: undefined, draws: true, expected: [undefined, undefined] },
    { what: "no times when they are not wanted", fps: 4, draws: false, expected: [undefined, undefined] },
  ])("with $what", async ({ fps, draws, expected }) => {
    const files = [await makePicture(1), await makePicture(2)];

    const { requests } = await load({ type: "frames", files, ...(fps && { fps }) }, {}, { drawsTimestamps: draws });

    expect(requests.map(({ timestamp }) => timestamp)).toEqual(expected);
  });

  test("or is refused: too many tokens, after its first frame alone", async () => {
    const files = await Promise.all([1, 2, 3].map((level) => makePicture(level, 56, 56)));

    const error = await refusal(load({ type: "frames", files }, { maxTokens: 7 }));

    expect(error).toMatchObject({ status: 400, code: "context_length_exceeded", param });
    expect(error.message).toContain("3 frames of 56x56 take 8 tokens, and the context has room for 7");
    await expect(load({ type: "frames", files }, { maxTokens: 8 })).resolves.toBeDefined();
  });

  test("or is refused: more pixels than all its frames may have together", async () => {
    const files = await Promise.all([1, 2].map((level) => makePicture(level, 100, 100)));

    const error = await refusal(load({ type: "frames", files }, { pixels: 19_999 }));

    expect(error).toMatchObject({ code: "image_too_large", param: expect.stringContaining(param) });
    await expect(load({ type: "frames", files }, { pixels: 20_000 })).resolves.toBeDefined();
  });

  test("or is refused: one that is no picture", async () => {
    const files = [await makePicture(1), Buffer.from("hello"), await makePicture(1)];

    expect(await refusal(load({ type: "frames", files }))).toMatchObject({ code: "invalid_image_format", param: `${param}[1]` });
  });
});

describe("without ffmpeg", () => {
  test("a video file is refused with a word on what to install", async () => {
    const error = await refusal(loadFile(Buffer.from("x"), {}, { ffmpeg: undefined }));

    expect(error).toMatchObject({ status: 400, code: "unsupported_parameter", param });
    expect(error.message).toContain("apt install ffmpeg");
  });

  test("nothing is found in folders without it", async () => {
    expect(await findFfmpeg("/nowhere::/etc")).toBeUndefined();
  });
});

describe.skipIf(!ffmpeg)("a video file becomes a video", () => {
  test.each([
    { extension: "mp4", args: ["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p"] },
    { extension: "mov", args: ["-c:v", "mpeg4", "-q:v", "1"] },
    { extension: "webm", args: ["-c:v", "libvpx-vp9", "-lossless", "1", "-deadline", "realtime"] },
    { extension: "mkv", args: ["-c:v", "libx264", "-qp", "0", "-bf", "3"] },
    { extension: "avi", args: ["-c:v", "mjpeg", "-q:v", "1", "-pix_fmt", "yuvj420p"] },
    { extension: "ts", args: ["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p"] },
    { extension: "gif", args: ["-pix_fmt", "gray"] },
  ])("of the frames that were sampled: $extension", async ({ extension, args }) => {
    const bytes = await makeVideo(extension, [...greyFrames(50, 25), ...args]);

    const { video } = await loadFile(bytes, { targetFrames: 5 });

    expect(frameNumbers(video)).toEqual([0, 10, 20, 30, 40, 40]);
    expect([video.patchRows, video.patchColumns]).toEqual([4, 4]);
  });

  test("with sound beside it, and by the default sampling", async () => {
    const sound = ["-f", "lavfi", "-i", "sine=duration=3"];
    const bytes = await makeVideo("mp4", [...sound, ...greyFrames(90, 30), "-c:v", "libx264", "-qp", "0", "-c:a", "aac"]);

    const { video } = await loadFile(bytes);

    expect(frameNumbers(video).slice(0, 5)).toEqual([0, 5, 11, 16, 22]);
    expect(video.frameCount).toBe(16);
  });

  test("with repeated frames where more are asked for than there are", async () => {
    const bytes = await makeVideo("mp4", [...greyFrames(4, 2), "-c:v", "libx264", "-qp", "0"]);

    const { video } = await loadFile(bytes, { fps: 4, minFrames: 1 });

    expect(frameNumbers(video)).toEqual([0, 0, 1, 2, 2, 2, 3, 3]);
  });

  test("of hundreds of frames", async () => {
    const bytes = await makeVideo("mp4", ["-f", "lavfi", "-i", "color=size=32x32:rate=100", "-frames:v", "700", "-c:v", "libx264"]);

    const { requests, video } = await loadFile(bytes, { targetFrames: 512 }, {}, { drawsTimestamps: true });

    expect(video.frameCount).toBe(512);
    expect(requests.slice(-1)).toMatchObject([{ timestamp: "time: 00:00:06.98" }]);
  });

  test("of one frame, shown twice", async () => {
    const bytes = await makeVideo("mp4", [...greyFrames(1, 25), "-c:v", "libx264"]);

    expect((await loadFile(bytes)).video.frameCount).toBe(2);
  });

  test("upright, when the file says that it lies on its side", async () => {
    const bytes = await makeVideo("mp4", [...greyFrames(4, 2, "112x56"), "-c:v", "libx264"]);
    const matrix = bytes.indexOf("tkhd") + 44; // of the track header: 3 x 3 numbers, here a quarter turn
    [0, 0x1_0000, 0, -0x1_0000, 0, 0, 0, 0, 0x4000_0000].forEach((value, i) => bytes.writeInt32BE(value, matrix + 4 * i));

    const { video } = await loadFile(bytes, { targetFrames: 2 });

    expect([video.patchRows, video.patchColumns]).toEqual([8, 4]);
  });

  test("with the time of each frame drawn before it is scaled, unless that is not wanted", async () => {
    const bytes = await makeVideo("mp4", [...greyFrames(60, 30, "320x240"), "-c:v", "libx264"]);

    const drawn = await loadFile(bytes, { targetFrames: 2 }, {}, { drawsTimestamps: true });
    const plain = await loadFile(bytes, { targetFrames: 2 });

    expect(drawn.requests.map(({ timestamp }) => timestamp)).toEqual(["time: 00:00:00.00", "time: 00:00:01.00"]);
    expect(plain.requests.map(({ timestamp }) => timestamp)).toEqual([undefined, undefined]);
    expect(drawn.video.patches.filter((level, i) => level !== plain.video.patches[i]).length).toBeGreaterThan(1000);
  });

  test("with its last frame repeated where the file is cut off", async () => {
    const bytes = await makeVideo("mkv", [...greyFrames(100, 25), "-c:v", "libx264", "-qp", "0", "-g", "5"]);

    const { video } = await loadFile(bytes.subarray(0, bytes.length / 2), { targetFrames: 8 });

    expect(video.frameCount).toBe(8);
    expect(frameNumbers(video)[0]).toBe(0);
  });

  test("and leaves nothing on the disk, used or refused", async () => {
    const before = await leftovers();
    await loadFile(await makeVideo("mp4", [...greyFrames(4, 2), "-c:v", "libx264"]));
    await refusal(loadFile(Buffer.from("no video")));

    expect((await leftovers()).filter((name) => !before.includes(name))).toEqual([]);
  });
});

describe.skipIf(!ffmpeg)("a video file is refused", () => {
  const playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
  test.each([
    { what: "no bytes", bytes: "" },
    { what: "text", bytes: "hello" },
    { what: "an HLS playlist", bytes: playlist },
    { what: "a list of files", bytes: "ffconcat version 1.0\nfile '/etc/passwd'\n" },
    { what: "an SDP description", bytes: "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n" },
    { what: "a DASH manifest", bytes: '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>' },
  ])("$what", async ({ bytes }) => {
    const error = await refusal(loadFile(Buffer.from(bytes)));

    expect(error).toMatchObject({ status: 400, code: "invalid_video", param });
    expect(error.message).not.toMatch(/whitelist|passwd|0x|\/tmp/);
  });

  test("sound alone", async () => {
    const sound = ["-f", "lavfi", "-i", "sine=duration=1"];
    expect(await refusal(loadFile(await makeVideo("mp4", [...sound, "-c:a", "aac"])))).toMatchObject({
      code: "invalid_video",
      message: `${param}: expected a video, got a file without a video track; audio is not supported`,
    });
  });

  test("an MP4 file without its end", async () => {
    const bytes = await makeVideo("mp4", [...greyFrames(50, 25), "-c:v", "libx264"]);

    expect(await refusal(loadFile(bytes.subarray(0, bytes.length / 2)))).toMatchObject({ code: "invalid_video" });
  });

  test.each([
    { what: "frames too large", setup: { limits: { framePixels: 64 * 48 - 1 } }, message: "frames of at most 3071 pixels" },
    { what: "too many pixels in all", setup: { pixels: (64 * 48 * 16) / 2 - 1 }, message: "got 16 frames of 64x48" },
    { what: "too long", setup: { limits: { durationSeconds: 1 } }, message: "at most 1 s, got one of 2 s" },
  ])("$what", async ({ setup, message }) => {
    const bytes = await makeVideo("mp4", [...greyFrames(50, 25), "-c:v", "libx264"]);

    const error = await refusal(loadFile(bytes, {}, setup));

    expect(error).toMatchObject({ status: 400, code: "video_too_large", param });
    expect(error.message).toContain(message);
  });

  test("too many tokens, before a frame is decoded", async () => {
    const bytes = await makeVideo("mp4", [...greyFrames(50, 25), "-c:v", "libx264"]);

    expect(await refusal(loadFile(bytes, {}, { maxTokens: 31 }))).toMatchObject({ code: "context_length_exceeded" });
    await expect(loadFile(bytes, {}, { maxTokens: 32 })).resolves.toBeDefined();
  });

  test("a GIF of 100,000 tiny frames, or takes few of them", async () => {
    const one = await makeVideo("gif", greyFrames(1, 50, "16x16"));
    const frame = one.subarray(one.indexOf(Buffer.from([0x21, 0xf9])), one.length - 1);
    const bytes = Buffer.concat([one.subarray(0, one.length - 1), ...Array<Buffer>(99_999).fill(frame), one.subarray(-1)]);

    const outcome = await loadFile(bytes).then(
      ({ requests }) => requests.length,
      (error: RequestError) => error.code,
    );

    expect(["video_too_large", 180]).toContain(outcome);
  });

  test("damaged bytes, or decodes them, and never fails in another way", async () => {
    const intact = await makeVideo("mp4", [...greyFrames(10, 5), "-c:v", "libx264"]);
    for (let seed = 1; seed <= 12; seed++) {
      const bytes = Buffer.from(intact);
      for (let i = 0; i < 20; i++) bytes[(Math.imul(seed * 31 + i, 2654435761) >>> 0) % bytes.length] = seed * 17 + i;

      const outcome: unknown = await loadFile(bytes, { targetFrames: 2 }).catch((error: unknown) => error);

      if (!(outcome instanceof RequestError)) expect(outcome).toHaveProperty("video");
    }
  });
});
