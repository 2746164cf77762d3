// The reference's cases with videos, sent as lists of frames, through the code that turns requests into prompts.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { encodePrompt, type PromptEncoderDeps } from "../../src/chat/encode-prompt.ts";
import type { PromptSegment } from "../../src/chat/marked-texts.ts";
import type { Chat, ContentPart } from "../../src/core/chat.ts";
import { loadImage } from "../../src/vision/load-image.ts";
import { createVideoLoader } from "../../src/vision/load-video.ts";
import { toVideoConfig } from "../../src/vision/video-config.ts";
import { hasTinyA, tinyA, tinyACases, tinyAPixelLimits } from "../reference/tiny-a.ts";

describe.skipIf(!hasTinyA)("a video of the reference", () => {
  test.each(["e_video", "h_video_long"])("has its pixels, ids, positions and experts: %s", async (name) => {
    const { prompt, segments } = tinyACases.find((each) => each.name === name)!;
    const limits = tinyAPixelLimits;
    const config = toVideoConfig({ size: { shortest_edge: limits.minPixels, longest_edge: limits.maxPixels } });
    const loadVideo = createVideoLoader({ ffmpeg: undefined, config, loadFrame: (file, request) => loadImage(file, limits, request) });
    const span = prompt.spans[0]!;
    const [before, after] = [prompt.tokenIds.subarray(0, span.start), prompt.tokenIds.subarray(span.start + span.length)];
    const pieces: PromptSegment[] = [{ type: "control", text: "before" }, { type: "video" }, { type: "control", text: "after" }];
    const deps = {
      template: { render: () => pieces },
      tokenizer: { minTokenCount: () => 1, encode: ([{ text }]: [{ text: string }]) => [...(text === "before" ? before : after)] },
      tokens: {
        video: prompt.tokenIds[span.start],
        videoStart: prompt.tokenIds[span.start - 1],
        videoEnd: prompt.tokenIds[span.start + span.length],
      },
      loadVideo,
      contextLength: 1 << 20,
    } as unknown as PromptEncoderDeps;
    const video = segments.find((segment) => segment.type === "video")!;
    const files = video.files.map((file) => readFileSync(`${tinyA}/images/${file}`));
    const part: ContentPart = { type: "video", source: { type: "frames", files }, param: "video" };
    const chat: Chat = { messages: [{ role: "user", content: [part] }], thinking: false };

    const ours = await encodePrompt(chat, deps);

    expect([...ours.tokenIds]).toEqual([...prompt.tokenIds]);
    expect([...ours.positions]).toEqual([...prompt.positions]);
    expect(ours.positionDelta).toBe(prompt.positionDelta);
    expect([...ours.visionExpert]).toEqual([...prompt.visionExpert]);
    expect(Buffer.from(ours.spans[0]!.image.patches).equals(Buffer.from(span.image.patches))).toBe(true);
  });
});
