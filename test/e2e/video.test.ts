// Videos through the whole program, on threads and with the machine's ffmpeg.

import { readFileSync } from "node:fs";
import { BadRequestError } from "openai";
import type { ChatCompletionContentPart } from "openai/resources";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ffmpeg, greyFrames, makeVideo } from "../vision/make-videos.ts";
import { modelFolder, type RunningServer, startServer } from "./start-server.ts";

type Sample = { images: string[]; is_video: boolean; messages: { content: { type: string; text?: string }[] }[]; hf_output: string };

const samples = JSON.parse(readFileSync(`${modelFolder}/samples/samples.json`, "utf8")) as Sample[];
const sample = samples.find((each) => each.is_video)!;
const frames = sample.images.map((file) => readFileSync(`${modelFolder}/samples/${file}`).toString("base64"));
const question = sample.messages[0]!.content.find(({ text }) => text)!.text!;

let server: RunningServer;
beforeAll(async () => {
  server = await startServer(["--weights", "fp32"]);
});
afterAll(() => server?.stop());

/** The openai package knows no videos. */
async function ask(video: object, text = question) {
  const content = [video, { type: "text", text }] as ChatCompletionContentPart[];
  const completion = await server.client.chat.completions.create({
    model: "ernie-vl-nano",
    messages: [{ role: "user", content }],
    temperature: 0,
    max_completion_tokens: 30,
  });
  return { text: completion.choices[0]!.message.content, usage: completion.usage! };
}

// What the reference answers is wrong: this model was not trained on videos. The same wrong answer shows that it sees the same.
test("a list of frames gets the reference's answer", async () => {
  const { text } = await ask({ type: "video", video: frames.map((data) => `data:image/png;base64,${data}`) });

  expect(text).toBe(sample.hf_output);
});

test("the tokens of a video are those of half as many pictures", async () => {
  const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${frames[0]}` } };
  const { usage: one } = await ask(picture);
  const { usage: four } = await ask({ type: "video", video: frames.map((data) => `data:image/png;base64,${data}`) });
  const imageTokens = (usage: object) => (usage as { prompt_tokens_details: { image_tokens: number } }).prompt_tokens_details.image_tokens;

  expect(imageTokens(four)).toBe(2 * imageTokens(one));
});

describe.skipIf(!ffmpeg)("with ffmpeg", () => {
  test("a video file is sampled, decoded and answered", async () => {
    const bytes = await makeVideo("mp4", [...greyFrames(100, 25, "112x112"), "-c:v", "libx264"]);
    const url = `data:video/mp4;base64,${bytes.toString("base64")}`;

    const eight = await ask({ type: "video_url", video_url: { url, target_frames: 8 } });
    const four = await ask({ type: "video_url", video_url: { url, target_frames: 4, draw_on_frames: true } });

    expect(eight.text).toMatch(/\w/);
    expect(eight.usage.prompt_tokens - four.usage.prompt_tokens).toBe(2 * 16);
  });

  test("a file that is no video is refused in its own words", async () => {
    const error: unknown = await ask({ type: "video_url", video_url: "data:video/mp4;base64,AAAA" }).catch((reason: unknown) => reason);

    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ code: "invalid_video", param: "messages[0].content[0].video_url" });
  });
});
