// Turns a server's pictures, videos and pages into patches, with threads and the system's ffmpeg if there is one.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { LoadImage, LoadVideo } from "../chat/encode-prompt.ts";
import type { ReadPdf } from "../chat/expand-documents.ts";
import { readJson } from "../convert/read-json.ts";
import { UserError } from "../core/errors.ts";
import type { ImageConfig } from "../core/model-config.ts";
import { findFfmpeg } from "../vision/ffmpeg.ts";
import { createImageLoader } from "../vision/image-loader.ts";
import { createVideoLoader } from "../vision/load-video.ts";
import { toVideoConfig, type VideoConfig } from "../vision/video-config.ts";

export type VisionLoaders = {
  readonly loadImage: LoadImage;
  readonly loadVideo: LoadVideo;
  readonly readPdf: ReadPdf;
  /** Whether ffmpeg was found. */
  readonly takesVideoFiles: boolean;
  close(): Promise<void>;
};

/** Looks for ffmpeg and reports the result. Throws UserError if the model's video settings are invalid. */
export async function createVisionLoaders(folder: string, image: ImageConfig, say: (line: string) => void): Promise<VisionLoaders> {
  const config = readVideoConfig(folder);
  const ffmpeg = await findFfmpeg();
  say(`video    ${ffmpeg ? `ffmpeg ${ffmpeg.version}` : "lists of frames only (video files need ffmpeg, which was not found)"}`);
  const images = createImageLoader(image);
  const loadVideo = createVideoLoader({ ffmpeg, config, loadFrame: images.load });
  return { loadImage: images.load, loadVideo, readPdf: images.readPdf, takesVideoFiles: ffmpeg !== undefined, close: () => images.close() };
}

export function readVideoConfig(folder: string): VideoConfig {
  const path = join(folder, "video_preprocessor_config.json");
  if (!existsSync(path)) return toVideoConfig();
  const file = readJson(path, z.looseObject({}));
  try {
    return toVideoConfig(file);
  } catch (error) {
    throw new UserError(`${path}: ${z.prettifyError(error as z.ZodError).replaceAll(/\s+/g, " ")}`, { cause: error });
  }
}
