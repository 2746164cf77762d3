import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Ffmpeg, findFfmpeg } from "../../src/vision/ffmpeg.ts";
import { loadImage } from "../../src/vision/load-image.ts";
import { createVideoLoader } from "../../src/vision/load-video.ts";
import { createPixelBudget } from "../../src/vision/pixel-budget.ts";
import { config, leftovers, loadFile, never, param, refusal } from "./load-video.ts";
import { writeProgram } from "./make-videos.ts";

describe("a decoder that misbehaves", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "fake-ffmpeg-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const stream = { width: 28, height: 28, avg_frame_rate: "10/1", r_frame_rate: "10/1", nb_read_packets: "20" };
  const goodProbe = `console.log(JSON.stringify({ streams: [${JSON.stringify(stream)}] }))`;
  const frame = `process.stdout.write(Buffer.concat([Buffer.from("P6\\n28 28\\n255\\n"), Buffer.alloc(28 * 28 * 3, 9)]))`;

  async function fake(decoder: string, probe = goodProbe): Promise<Ffmpeg> {
    const ffmpegPath = await writeProgram(folder, "ffmpeg", decoder);
    return { ffmpegPath, ffprobePath: await writeProgram(folder, "ffprobe", probe), version: "7.1" };
  }

  test("is found by its version", async () => {
    await fake(`console.log("ffmpeg version 9.9.1-test Copyright")`);

    expect(await findFfmpeg(folder)).toEqual({
      ffmpegPath: join(folder, "ffmpeg"),
      ffprobePath: join(folder, "ffprobe"),
      version: "9.9.1-test",
    });
  });

  test("and does not even tell its version is no decoder", async () => {
    await fake("process.exit(1)");

    expect(await findFfmpeg(folder)).toBeUndefined();
  });

  test.each([
    { what: "crashes", decoder: `process.kill(process.pid, "SIGSEGV")` },
    { what: "says nothing", decoder: "" },
    { what: "writes no pictures", decoder: `process.stdout.write("x".repeat(100))` },
    { what: "writes pictures that are too large", decoder: `process.stdout.write("P6\\n99999 99999\\n255\\n".padEnd(100, "x"))` },
    { what: "ends inside the first picture", decoder: `process.stdout.write("P6\\n28 28\\n255\\nabc")` },
  ])("and $what: 400", async ({ decoder }) => {
    const error = await refusal(loadFile(Buffer.from("x"), {}, { ffmpeg: await fake(decoder) }));

    expect(error).toMatchObject({ status: 400, code: "invalid_video" });
  });

  test.each([
    { what: "crashes", probe: `process.kill(process.pid, "SIGSEGV")` },
    { what: "writes no JSON", probe: `console.log("hello")` },
    { what: "writes without end", probe: `setInterval(() => process.stdout.write("x".repeat(65536)), 1)` },
    { what: "claims sizes that cannot be", probe: `console.log('{"streams":[{"width":-1,"height":1,"nb_read_packets":"1"}]}')` },
  ])("whose ffprobe $what: 400", async ({ probe }) => {
    const error = await refusal(loadFile(Buffer.from("x"), {}, { ffmpeg: await fake(frame, probe) }));

    expect(error).toMatchObject({ status: 400, code: "invalid_video" });
  });

  test("and crashes after a frame: what came is used", async () => {
    const { video } = await loadFile(Buffer.from("x"), {}, { ffmpeg: await fake(`${frame};process.exitCode = 1`) });

    expect(video.frameCount).toBe(16);
    expect(new Set(video.patches)).toEqual(new Set([9]));
  });

  test("and hangs is killed when its time is over", async () => {
    const hanging = await fake(`${frame}; setInterval(() => {}, 1000)`);

    const error = await refusal(loadFile(Buffer.from("x"), {}, { ffmpeg: hanging, limits: { decodeMs: 500 } }));

    expect(error).toMatchObject({ code: "video_too_large" });
    expect(error.message).toContain("decoded within 0.5 s");
  });

  // Elsewhere nothing tells how much memory another process has.
  describe.runIf(process.platform === "linux")("and takes too much memory is killed:", () => {
    /** Takes 512 MiB and stays: one without end would take all of a machine that is too busy to look. */
    const greedy = "const all = []; setInterval(() => all.length < 32 && all.push(Buffer.alloc(2 ** 24, 1)), 1)";

    test.each([
      ["when it reads the file", () => fake(frame, greedy)],
      ["when it decodes the frames", () => fake(greedy)],
      ["when it has some frames", () => fake(`${frame}; ${greedy}`)],
    ])("%s", async (_, make) => {
      const error = await refusal(loadFile(Buffer.from("x"), {}, { ffmpeg: await make(), limits: { memoryBytes: 2 ** 28 } }));

      expect(error).toMatchObject({ status: 400, code: "video_too_large", param });
      expect(error.message).toContain("decodes in 256 MiB of memory, got one that takes more");
    });
  });

  test("and hangs is killed when the client goes", async () => {
    const client = new AbortController();
    const started = join(folder, "started");
    const hanging = await fake(`require("fs").writeFileSync(${JSON.stringify(started)}, String(process.pid)); setInterval(() => {}, 1000)`);
    const loading = loadFile(Buffer.from("x"), {}, { ffmpeg: hanging, signal: client.signal });
    loading.catch(() => {});
    while (!(await readdir(folder)).includes("started")) await new Promise((resolve) => setTimeout(resolve, 20));

    client.abort(new Error("gone"));

    await expect(loading).rejects.toThrow("gone");
    expect(await leftovers()).toEqual([]);
  });

  test("sees no environment and gets the file's path alone", async () => {
    const spy = `require("fs").writeFileSync(${JSON.stringify(join(folder, "seen"))}, JSON.stringify([process.env, process.argv]));`;
    await loadFile(Buffer.from("x"), {}, { ffmpeg: await fake(spy + frame) });

    const [environment, args] = JSON.parse(await readFile(join(folder, "seen"), "utf8")) as [object, string[]];

    expect(Object.keys(environment).filter((name) => !name.startsWith("__CF"))).toEqual([]);
    expect(args.filter((arg) => arg.includes("ernie-vl-video-"))).toEqual([expect.stringMatching(/^file:.*\/video$/)]);
    expect(args).toEqual(expect.arrayContaining(["-nostdin", "-protocol_whitelist", "-format_whitelist", "-codec_whitelist"]));
  });

  test("makes others wait, up to a bound", async () => {
    const slow = await fake(`setTimeout(() => { ${frame} }, 300)`);
    const loadVideo = createVideoLoader({
      ffmpeg: slow,
      config,
      loadFrame: (image, request) => loadImage(image, config.pixels, request),
      limits: { concurrent: 1, waiting: 1 },
    });
    const part = { type: "video", source: { type: "file", bytes: Buffer.from("x"), sampling: {} }, param } as const;
    const start = () => loadVideo(part, { maxTokens: 1000, pixelBudget: createPixelBudget(), signal: never });

    const [first, second, third] = await Promise.allSettled([start(), start(), start()]);

    expect([first.status, second.status]).toEqual(["fulfilled", "fulfilled"]);
    expect(third).toMatchObject({ status: "rejected", reason: { status: 429, code: "too_many_videos_queued" } });
  });
});
